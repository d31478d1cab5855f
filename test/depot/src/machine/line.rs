//! The line to a machine: later and slower than loopback is.
//!
//! It lies below TLS, so that it carries the bytes that a network would. What it takes in is held until it is due at the other end:
//! the delay adds to each byte's way and takes nothing from how many are under way. A line with a rate has a router at
//! its head, with a queue of [`ROUTER_BYTES`]; whoever sends faster waits.
//!
//! The kernel greets a client on loopback before the line knows of it. So nothing passes during the first round trip, which is
//! what the greeting would have taken. Packets are never lost, and no sender has to feel its way to the line's rate.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

use crate::Line;

/// What may wait at the head of a line with a rate, one way.
pub(super) const ROUTER_BYTES: u32 = 512 << 10;

/// What may be under way, one way: more than the rate of any line of tests brings along within its delay.
const UNDER_WAY_BYTES: usize = 64 << 20;

/// What is taken in at once. At 100 Mbit/s it is 1.3 ms long, as fine as the clock of timers.
const PIECE_BYTES: usize = 16 << 10;

/// Carries bytes between `near` and `far` until each has told its end, or one of them breaks.
///
/// Dropping the future loses what is under way.
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

/// A piece and when it arrives.
type Due = (Instant, Bytes);

async fn one_way(
    line: Line,
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    // What bounds it is the room.
    let (sender, pieces) = mpsc::unbounded_channel();
    let room = Semaphore::new(UNDER_WAY_BYTES);
    tokio::try_join!(
        take_in(line, from, sender, &room),
        hand_out(to, pieces, &room)
    )?;
    Ok(())
}

async fn take_in(
    line: Line,
    mut from: impl AsyncRead + Unpin,
    under_way: mpsc::UnboundedSender<Due>,
    room: &Semaphore,
) -> io::Result<()> {
    // When the last bit of all that was taken in has left the router.
    let mut free = Instant::now();
    loop {
        if line.bits_per_second.is_some() {
            sleep_until(free - line.takes(ROUTER_BYTES)).await;
        }
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        let length = from.read_buf(&mut piece).await?;
        let length = u32::try_from(length).map_err(io::Error::other)?;
        free = free.max(Instant::now()) + line.takes(length);
        // Closed only when the other half has failed, and then this one is dropped.
        if let Ok(taken) = room.acquire_many(length).await {
            taken.forget();
        }
        // The end is a piece without bytes: it has the same way to go.
        let _fails_with_the_other_half = under_way.send((free + line.delay, piece.freeze()));
        if length == 0 {
            return Ok(());
        }
    }
}

async fn hand_out(
    mut to: impl AsyncWrite + Unpin,
    mut under_way: mpsc::UnboundedReceiver<Due>,
    room: &Semaphore,
) -> io::Result<()> {
    while let Some((due, piece)) = under_way.recv().await {
        sleep_until(due).await;
        to.write_all(&piece).await?;
        if under_way.is_empty() {
            to.flush().await?;
        }
        room.add_permits(piece.len());
    }
    to.shutdown().await
}

impl Line {
    /// How long so many bytes take to enter it.
    fn takes(self, bytes: u32) -> Duration {
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

    /// What the ends of the line hold in these tests.
    const END_BYTES: usize = 64 << 10;

    /// A line, its two ends, and what carries.
    fn laid(
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

    /// Bytes that tell where they were.
    fn numbered(length: usize) -> Vec<u8> {
        let numbers = (0_u32..).flat_map(u32::to_le_bytes);
        numbers.take(length).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn both_ways_bytes_arrive_in_order_and_then_the_end() {
        let (mut near, mut far, mut carrying) = laid(DELAY, Some(80_000_000));
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
    async fn the_first_byte_is_a_round_trip_later_than_those_that_follow() {
        let (mut near, mut far, _carrying) = laid(DELAY, None);
        let arrives = async |near: &mut DuplexStream, far: &mut DuplexStream| {
            let sent = Instant::now();
            near.write_all(b"x").await.unwrap();
            far.read_exact(&mut [0]).await.unwrap();
            sent.elapsed()
        };
        let first = arrives(&mut near, &mut far).await;
        let next = arrives(&mut near, &mut far).await;
        let back = arrives(&mut far, &mut near).await;
        // To the millisecond, since timers are.
        assert_eq!(
            [first, next, back].map(|time| time.as_millis() / 2),
            [30, 10, 10]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_holds_back_no_throughput() {
        let (mut near, mut far, _carrying) = laid(DELAY, None);
        let begun = Instant::now();
        let (sent, mut came) = (numbered(20 << 20), vec![0; 20 << 20]);
        tokio::try_join!(near.write_all(&sent), far.read_exact(&mut came)).unwrap();
        assert!(came == sent);
        // Time is paused: it counts waiting alone.
        assert!(begun.elapsed() < DELAY * 4, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept_over_a_long_time() {
        let (mut near, mut far, _carrying) = laid(Duration::ZERO, Some(8_000_000));
        let begun = Instant::now();
        let (sent, mut came) = (vec![7; 3_000_000], vec![0; 3_000_000]);
        tokio::try_join!(near.write_all(&sent), far.read_exact(&mut came)).unwrap();
        let took = begun.elapsed().as_millis();
        assert!((3_000..3_050).contains(&took), "{took} ms");
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_faster_than_the_line_waits_for_the_router() {
        // A byte takes longer than anybody waits here.
        let (mut near, _far, _carrying) = laid(Duration::ZERO, Some(8));
        let mut sent = 0;
        while let Ok(length) = tokio::time::timeout(DELAY, near.write(&[7; 1000])).await {
            sent += length.unwrap();
        }
        let most = usize::try_from(ROUTER_BYTES).unwrap() + PIECE_BYTES + END_BYTES;
        assert!((END_BYTES..=most).contains(&sent), "{sent} bytes");
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_breaks_ends_the_line() {
        let (near, mut far, mut carrying) = laid(DELAY, None);
        drop(near);
        // The end arrives, and what is sent against it meets nobody.
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
        far.write_all(b"x").await.unwrap();
        let ended = carrying.join_next().await.unwrap().unwrap();
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
