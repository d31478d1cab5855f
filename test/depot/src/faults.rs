//! What the API does wrong on purpose.
//!
//! Faults are planned per method, before the stand-in starts, and used up in the order in which they were planned: a call
//! meets the first fault of its method that is not used up, and one fault only. A planned fault that no call ever met is
//! told by [`LocalDepot::check`](crate::LocalDepot::check), since a test that plans one means it to happen.

use std::collections::HashMap;
use std::time::Duration;

use crate::{Code, Method};

/// One way for a call to go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call is read and answered with an error in Connect's JSON form and the status that belongs to its code.
    Error {
        /// Connect's code.
        code: Code,
        /// The text for people.
        message: String,
    },
    /// The call is read and answered with this status and an HTML page, as a proxy in between would.
    Html {
        /// The HTTP status.
        status: u16,
    },
    /// The TCP connection is reset before anything of the body was read. On HTTP/2 every call of that connection dies with it.
    ResetBeforeReading,
    /// The TCP connection is reset after the body was read (of a stream: its first message); the call takes no effect.
    ResetAfterReading,
    /// The call takes effect, then the TCP connection is reset: only the answer is lost. A client that repeats it may be
    /// told that this was done before, as `FinishBuild` does with `failed_precondition`.
    LoseAnswer,
    /// The call is read and never answered.
    Hang,
    /// The call is answered as usual, but so much later.
    Delay(Duration),
}

impl Fault {
    /// An error in Connect's JSON form.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self::Error {
            code,
            message: message.into(),
        }
    }
}

/// How many calls meet a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// So many calls, the next ones being answered as usual.
    First(u32),
    /// Every call.
    Always,
}

/// A fault, where it happens, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFault {
    /// The method that goes wrong.
    pub method: Method,
    /// What happens.
    pub fault: Fault,
    /// To how many calls.
    pub times: Times,
}

/// The planned faults and how often each was met.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    by_method: HashMap<Method, Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    fault: Fault,
    times: Times,
    met: u32,
}

impl Entry {
    fn is_used_up(&self) -> bool {
        matches!(self.times, Times::First(times) if self.met >= times)
    }

    /// A fault for the first three calls is met once three calls came; one for every call, once one came.
    fn is_met(&self) -> bool {
        match self.times {
            Times::First(times) => self.met >= times,
            Times::Always => self.met > 0,
        }
    }
}

impl Faults {
    pub(crate) fn new(planned: &[PlannedFault]) -> Self {
        let mut by_method: HashMap<Method, Vec<Entry>> = HashMap::new();
        for PlannedFault {
            method,
            fault,
            times,
        } in planned
        {
            by_method.entry(*method).or_default().push(Entry {
                fault: fault.clone(),
                times: *times,
                met: 0,
            });
        }
        Self { by_method }
    }

    /// The fault that this call meets, which is thereby used once.
    pub(crate) fn next(&mut self, method: Method) -> Option<Fault> {
        let entry = self
            .by_method
            .get_mut(&method)?
            .iter_mut()
            .find(|entry| !entry.is_used_up())?;
        entry.met = entry.met.saturating_add(1);
        Some(entry.fault.clone())
    }

    /// Planned faults that were met less often than planned, as sentences, in no particular order.
    pub(crate) fn unmet(&self) -> Vec<String> {
        let told = |method: &Method, entry: &Entry| {
            format!(
                "{method}: {:?} was planned for {:?} and met {} times",
                entry.fault, entry.times, entry.met
            )
        };
        self.by_method
            .iter()
            .flat_map(|(method, entries)| {
                entries
                    .iter()
                    .filter(|entry| !entry.is_met())
                    .map(move |entry| told(method, entry))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_used_up_in_the_order_of_planning() {
        let mut faults = Faults::new(&[
            PlannedFault {
                method: Method::CreateBuild,
                fault: Fault::Hang,
                times: Times::First(2),
            },
            PlannedFault {
                method: Method::CreateBuild,
                fault: Fault::Html { status: 502 },
                times: Times::First(1),
            },
        ]);
        assert_eq!(faults.next(Method::FinishBuild), None);
        assert_eq!(faults.next(Method::CreateBuild), Some(Fault::Hang));
        assert_eq!(faults.next(Method::CreateBuild), Some(Fault::Hang));
        assert_eq!(faults.unmet().len(), 1);
        assert_eq!(
            faults.next(Method::CreateBuild),
            Some(Fault::Html { status: 502 })
        );
        assert_eq!(faults.next(Method::CreateBuild), None);
        assert_eq!(faults.unmet(), Vec::<String>::new());
    }

    #[test]
    fn a_fault_for_always_never_ends() {
        let mut faults = Faults::new(&[PlannedFault {
            method: Method::GetBuild,
            fault: Fault::Hang,
            times: Times::Always,
        }]);
        assert_eq!(faults.unmet().len(), 1);
        for _ in 0..3 {
            assert_eq!(faults.next(Method::GetBuild), Some(Fault::Hang));
        }
        assert_eq!(faults.unmet(), Vec::<String>::new());
    }
}
