//! The line to a machine: a network with a delay and a rate.
//!
//! It is below TLS, so it carries the bytes that a network would. It holds each byte until the byte is due at the other end:
//! the delay adds to latency and does not reduce throughput. A line with a rate has a router at its head, with a queue of
//! [`ROUTER_BYTES`]; a faster sender waits.
//!
//! On loopback the kernel completes the TCP handshake before the line exists. So nothing passes during the first round trip,
//! the time that the handshake would take. Packets are never lost, and senders need no congestion control to find the rate.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

use crate::Line;

/// The router's queue of a line with a rate, in one direction.
pub(super) const ROUTER_BYTES: u32 = 512 << 10;

/// The most bytes in transit, in one direction: more than any line of a test carries within its delay.
const IN_TRANSIT_BYTES: usize = 64 << 20;

/// The size of one piece. At 100 Mbit/s it takes 1.3 ms, about the resolution of timers.
const PIECE_BYTES: usize = 16 << 10;

/// Carries bytes between `near` and `far` until both have ended, or one fails.
///
/// Dropping the future loses the bytes in transit.
pub(super) async fn carry(
    line: Line,
    near: impl AsyncRead + AsyncWrite,
    far: impl AsyncRead + AsyncWrite,
) -> io::Result<()> {
    sleep(line.delay * 2).await;
    let (from_near, to_near) = tokio::io::split(near);
    let (from_far, to_far) = tokio::io::split(far);
    tokio::try_join!(
        one_way(line, from_near, to_far),
        one_way(line, from_far, to_near),
    )?;
    Ok(())
}

/// A piece and the time of its arrival.
type Due = (Instant, Bytes);

async fn one_way(
    line: Line,
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    // `room` bounds this channel.
    let (sender, pieces) = mpsc::unbounded_channel();
    let room = Semaphore::new(IN_TRANSIT_BYTES);
    tokio::try_join!(
        accept(line, from, sender, &room),
        deliver(to, pieces, &room)
    )?;
    Ok(())
}

async fn accept(
    line: Line,
    mut from: impl AsyncRead + Unpin,
    in_transit: mpsc::UnboundedSender<Due>,
    room: &Semaphore,
) -> io::Result<()> {
    // The time at which the last accepted bit has left the router.
    let mut free = Instant::now();
    loop {
        if line.bits_per_second.is_some() {
            sleep_until(free - line.transmission(ROUTER_BYTES)).await;
        }
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        let length = from.read_buf(&mut piece).await?;
        let length = u32::try_from(length).map_err(io::Error::other)?;
        free = free.max(Instant::now()) + line.transmission(length);
        // The semaphore is never closed.
        if let Ok(permits) = room.acquire_many(length).await {
            permits.forget();
        }
        // The end is an empty piece, with the same delay.
        let _fails_with_the_other_half = in_transit.send((free + line.delay, piece.freeze()));
        if length == 0 {
            return Ok(());
        }
    }
}

async fn deliver(
    mut to: impl AsyncWrite + Unpin,
    mut in_transit: mpsc::UnboundedReceiver<Due>,
    room: &Semaphore,
) -> io::Result<()> {
    while let Some((due, piece)) = in_transit.recv().await {
        sleep_until(due).await;
        to.write_all(&piece).await?;
        if in_transit.is_empty() {
            to.flush().await?;
        }
        room.add_permits(piece.len());
    }
    to.shutdown().await
}

impl Line {
    /// How long `bytes` take to enter the line.
    fn transmission(self, bytes: u32) -> Duration {
        let Some(rate) = self.bits_per_second else {
            return Duration::ZERO;
        };
        let nanoseconds = u64::from(bytes) * 8 * 1_000_000_000;
        Duration::from_nanos(nanoseconds / rate.max(1))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
    use tokio::task::JoinSet;

    use super::*;

    const DELAY: Duration = Duration::from_millis(20);

    /// The buffer of each end of the line in these tests.
    const END_BYTES: usize = 64 << 10;

    /// A line: its two ends and the task that carries bytes.
    fn line(
        delay: Duration,
        bits_per_second: Option<u64>,
    ) -> (DuplexStream, DuplexStream, Carrying) {
        let line = Line {
            delay,
            bits_per_second,
        };
        let (near, near_end) = duplex(END_BYTES);
        let (far, far_end) = duplex(END_BYTES);
        let mut carrying = JoinSet::new();
        carrying.spawn(carry(line, near_end, far_end));
        (near, far, carrying)
    }

    type Carrying = JoinSet<io::Result<()>>;

    /// Bytes with a counter, so that any reordering changes them.
    fn numbered(length: usize) -> Vec<u8> {
        let numbers = (0_u32..).flat_map(u32::to_le_bytes);
        numbers.take(length).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_arrive_in_order_in_both_directions_followed_by_the_end() {
        let (mut near, mut far, mut carrying) = line(DELAY, Some(80_000_000));
        let (up, down) = (numbered(300_001), numbered(100_003));
        let send = async |end: &mut DuplexStream, bytes: &[u8], at_once: usize| {
            for piece in bytes.chunks(at_once) {
                end.write_all(piece).await.unwrap();
            }
        };
        send(&mut near, &up[..50_000], 17).await;
        send(&mut far, &down[..50_000], 7_001).await;
        let (mut from_near, mut to_near) = tokio::io::split(near);
        let (mut from_far, mut to_far) = tokio::io::split(far);
        let (mut came_up, mut came_down) = (Vec::new(), Vec::new());
        let sending = async {
            to_near.write_all(&up[50_000..]).await.unwrap();
            to_near.shutdown().await.unwrap();
            to_far.write_all(&down[50_000..]).await.unwrap();
            to_far.shutdown().await.unwrap();
        };
        let (above, below, ()) = tokio::join!(
            from_far.read_to_end(&mut came_up),
            from_near.read_to_end(&mut came_down),
            sending
        );
        above.unwrap();
        below.unwrap();
        assert!(came_up == up && came_down == down);
        carrying.join_next().await.unwrap().unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_byte_is_delayed_by_an_additional_round_trip() {
        let (mut near, mut far, _carrying) = line(DELAY, None);
        let arrives = async |near: &mut DuplexStream, far: &mut DuplexStream| {
            let sent = Instant::now();
            near.write_all(b"x").await.unwrap();
            far.read_exact(&mut [0]).await.unwrap();
            sent.elapsed()
        };
        let first = arrives(&mut near, &mut far).await;
        let next = arrives(&mut near, &mut far).await;
        let back = arrives(&mut far, &mut near).await;
        // Timers have a resolution of one millisecond.
        assert_eq!(
            [first, next, back].map(|time| time.as_millis() / 2),
            [30, 10, 10]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_does_not_reduce_throughput() {
        let (mut near, mut far, _carrying) = line(DELAY, None);
        let begun = Instant::now();
        let (sent, mut came) = (numbered(20 << 20), vec![0; 20 << 20]);
        tokio::try_join!(near.write_all(&sent), far.read_exact(&mut came)).unwrap();
        assert!(came == sent);
        // Paused time advances only while the test waits.
        assert!(begun.elapsed() < DELAY * 4, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn the_average_rate_is_exact() {
        let (mut near, mut far, _carrying) = line(Duration::ZERO, Some(8_000_000));
        let begun = Instant::now();
        let (sent, mut came) = (vec![7; 3_000_000], vec![0; 3_000_000]);
        tokio::try_join!(near.write_all(&sent), far.read_exact(&mut came)).unwrap();
        let took = begun.elapsed().as_millis();
        assert!((3_000..3_050).contains(&took), "{took} ms");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_is_faster_than_the_line_waits_for_the_router() {
        // One byte takes longer than this test waits.
        let (mut near, _far, _carrying) = line(Duration::ZERO, Some(8));
        let mut sent = 0;
        while let Ok(length) = tokio::time::timeout(DELAY, near.write(&[7; 1000])).await {
            sent += length.unwrap();
        }
        let most = usize::try_from(ROUTER_BYTES).unwrap() + PIECE_BYTES + END_BYTES;
        assert!((END_BYTES..=most).contains(&sent), "{sent} bytes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_end_ends_the_line() {
        let (near, mut far, mut carrying) = line(DELAY, None);
        drop(near);
        // The end arrives; bytes in the other direction find no receiver.
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
        far.write_all(b"x").await.unwrap();
        let ended = carrying.join_next().await.unwrap().unwrap();
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
