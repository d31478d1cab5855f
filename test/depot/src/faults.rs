//! Planned faults of the API.
//!
//! Faults are planned for each method before the local Depot starts, and used up in the order in which they were planned: a
//! call meets only the first fault of its method that is not used up. [`LocalDepot::check`](crate::LocalDepot::check)
//! reports a planned fault that did not occur, since a test that plans a fault expects it.

use std::collections::HashMap;
use std::time::Duration;

use crate::{Code, Method};

/// A fault of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call is read. Its response is an error in Connect's JSON form, with the status of the code.
    Error {
        /// Connect's code.
        code: Code,
        /// The text for people.
        message: String,
    },
    /// The call is read. Its response is this status and an HTML page, as from a proxy.
    Html {
        /// The HTTP status.
        status: u16,
    },
    /// The TCP connection is reset before any byte of the body is read. With HTTP/2 this ends every call of the connection.
    ResetBeforeReading,
    /// The TCP connection is reset after the body is read (of a stream: its first message). The call takes no effect.
    ResetAfterReading,
    /// The call takes effect, then the TCP connection is reset: only the response is lost. A client that repeats the call
    /// may get an error because it was done before, such as `failed_precondition` from `FinishBuild`.
    LoseAnswer,
    /// The call is read and gets no response.
    Hang,
    /// The usual response is delayed.
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

/// How many calls a fault affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// This many calls; later ones get their usual response.
    First(u32),
    /// Every call.
    Always,
}

/// A fault, its method, and how often it occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFault {
    /// The method.
    pub method: Method,
    /// The fault.
    pub fault: Fault,
    /// The number of affected calls.
    pub times: Times,
}

/// The planned faults and how often each has occurred.
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

    /// A fault of the first three calls is met after three calls; one of every call, after the first.
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

    /// Uses up one planned fault of this method and returns it.
    pub(crate) fn next(&mut self, method: Method) -> Option<Fault> {
        let entry = self
            .by_method
            .get_mut(&method)?
            .iter_mut()
            .find(|entry| !entry.is_used_up())?;
        entry.met = entry.met.saturating_add(1);
        Some(entry.fault.clone())
    }

    /// Faults that occurred less often than planned, as sentences, in no particular order.
    pub(crate) fn unmet(&self) -> Vec<String> {
        let sentence = |method: &Method, entry: &Entry| {
            format!(
                "{method}: {:?} was planned for {:?} and occurred {} times",
                entry.fault, entry.times, entry.met
            )
        };
        self.by_method
            .iter()
            .flat_map(|(method, entries)| {
                entries
                    .iter()
                    .filter(|entry| !entry.is_met())
                    .map(move |entry| sentence(method, entry))
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
    fn a_fault_of_every_call_is_never_used_up() {
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
