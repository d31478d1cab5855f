//! The parameters of an attestation: one line of CSV.

use crate::config::csv;
use crate::config::fault::Fault;
use crate::config::findings::Findings;
use crate::config::values::boolean;

/// The parameters of an attestation, in their order.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        pairs.find_map(|(known, value)| (known == key).then_some(value.as_str()))
    }

    pub(super) fn line(&self) -> String {
        let pairs = self.0.iter();
        csv::entry(pairs.map(|(key, value)| (key.as_str(), value.as_str())))
    }
}

/// Reads the parameters of one variable, and reports every fault.
pub(super) struct Reader<'a> {
    variable: &'static str,
    /// The type of the attestation, which `type=` may repeat.
    kind: &'static str,
    advice: &'static str,
    findings: &'a mut Findings,
    is_faultless: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        variable: &'static str,
        kind: &'static str,
        advice: &'static str,
        findings: &'a mut Findings,
    ) -> Self {
        Self {
            variable,
            kind,
            advice,
            findings,
            is_faultless: true,
        }
    }

    /// The parameters without `type` and `disabled`. `check` returns the value to send; `None` after it reported a fault.
    ///
    /// `None` if the attestation is disabled, or if any parameter is wrong.
    pub(super) fn parameters(
        &mut self,
        text: &str,
        check: impl Fn(&mut Self, &str, &str) -> Option<String>,
    ) -> Option<Parameters> {
        let fields = match csv::record(text) {
            Ok(fields) => fields,
            Err(fault) => {
                let problem = format!("{} is not valid: {fault}", self.findings.shown(text));
                return self.fault(problem, self.advice);
            }
        };
        let mut parameters = Parameters(Vec::new());
        let mut is_disabled = false;
        let mut keys: Vec<String> = Vec::new();
        for field in &fields {
            let Some((key, value)) = field.split_once('=') else {
                let _reported: Option<()> = self.report(field, "has no `=`", self.advice);
                continue;
            };
            let (key, value) = (key.trim(), value.trim());
            if keys.iter().any(|known| known == key) {
                let _reported: Option<()> = self.report(key, "is set twice", "write it once");
                continue;
            }
            keys.push(key.to_owned());
            match key {
                "type" if value == self.kind => {}
                "type" => {
                    let advice = format!("write `type={}`, or omit it", self.kind);
                    let _reported: Option<()> = self.report(value, "is another type", &advice);
                }
                "disabled" => is_disabled = self.boolean(key, value).as_deref() == Some("true"),
                _ => {
                    let value = check(self, key, value);
                    parameters
                        .0
                        .extend(value.map(|value| (key.to_owned(), value)));
                }
            }
        }
        (self.is_faultless && !is_disabled).then_some(parameters)
    }

    pub(super) fn boolean(&mut self, key: &str, value: &str) -> Option<String> {
        match boolean(value) {
            Some(value) => Some(value.to_string()),
            None => {
                let advice = format!("write `{key}=true` or `{key}=false`");
                self.report(value, "is neither true nor false", &advice)
            }
        }
    }

    /// Reports a fault of `text`, which is shown. Returns `None`.
    pub(super) fn report<T>(&mut self, text: &str, problem: &str, advice: &str) -> Option<T> {
        let problem = format!("{} {problem}", self.findings.shown(text));
        self.fault(problem, advice)
    }

    pub(super) fn fault<T>(&mut self, problem: String, advice: &str) -> Option<T> {
        self.is_faultless = false;
        self.findings
            .fault(Fault::new(self.variable, problem, advice));
        None
    }
}
