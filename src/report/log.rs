//! Turns `tracing` events into messages: `INFO: pushed digest=sha256:…`.
//!
//! Events of this crate are printed from INFO up, events of other crates from WARN up, and with `DEBUG` one more level of
//! each. The HTTP crates stay at WARN even then, because they log every frame.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::SetGlobalDefaultError;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::Registry;

use super::message::Kind;
use super::output::Output;
use super::text;

/// Longest message, in characters.
const MESSAGE_CHARACTERS: usize = 16 * 1024;

/// Crates that log every frame at DEBUG.
const CHATTY: [&str; 7] = [
    "h2",
    "hyper",
    "hyper_util",
    "reqwest",
    "rustls",
    "tonic",
    "tower",
];

/// Prints the events of this program to `output` from now on.
///
/// # Errors
/// A subscriber is already installed.
pub fn install(output: &Output, debug: bool) -> Result<(), SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(subscriber(output.clone(), debug))
}

/// Creates a subscriber that prints to `output`. Tests use it for one thread at a time.
#[must_use]
pub fn subscriber(output: Output, debug: bool) -> impl Subscriber + Send + Sync {
    Registry::default()
        .with(targets(debug))
        .with(Messages { output })
}

fn targets(debug: bool) -> Targets {
    let (ours, others) = if debug {
        (LevelFilter::DEBUG, LevelFilter::INFO)
    } else {
        (LevelFilter::INFO, LevelFilter::WARN)
    };
    CHATTY
        .into_iter()
        .fold(Targets::new(), |targets, chatty| {
            targets.with_target(chatty, LevelFilter::WARN)
        })
        .with_target(env!("CARGO_CRATE_NAME"), ours)
        .with_default(others)
}

/// Prints each event as one message. Spans are not printed.
struct Messages {
    output: Output,
}

impl<S: Subscriber> Layer<S> for Messages {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let kind = match *event.metadata().level() {
            Level::ERROR => Kind::Error,
            Level::WARN => Kind::Warning,
            Level::INFO => Kind::Info,
            _ => Kind::Debug,
        };
        let text = text::lines(
            &format!("{}{}", line.message, line.fields),
            MESSAGE_CHARACTERS,
            self.output.masker(),
        );
        self.output.say(self.output.paint().message(kind, &text));
    }
}

/// An event's message, and its fields as ` key=value`.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Line {
    fn field(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // Writing to a string never fails.
        let _infallible = match field.name() {
            "message" => write!(self.message, "{value}"),
            name => write!(self.fields, " {name}={value}"),
        };
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() != "message" && (value.is_empty() || value.contains(char::is_whitespace)) {
            self.field(field, format_args!("{value:?}"));
        } else {
            self.field(field, format_args!("{value}"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.field(field, format_args!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.field(field, format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::message::Paint;
    use crate::report::output::OutputOptions;

    fn logged(debug: bool, colour: bool, events: impl FnOnce()) -> String {
        let (output, captured) = Output::captured(OutputOptions {
            paint: Paint { colour },
            ..OutputOptions::default()
        });
        tracing::subscriber::with_default(subscriber(output, debug), events);
        captured.text()
    }

    fn events() {
        tracing::error!(code = 3, "it failed");
        tracing::warn!("careful\nsecond line");
        tracing::info!(image = "a/b:1", digest = %"sha256:1", note = "two words", none = "", "pushed");
        tracing::debug!(size = ?Some(1), "detail");
        tracing::trace!("never");
        tracing::info!(target: "bollard::docker", "from another crate");
        tracing::warn!(target: "rustls::client", "trouble elsewhere");
        tracing::info!(target: "h2::codec::framed_write", "frame");
    }

    #[test]
    fn messages_have_the_form_of_official_pipes() {
        insta::assert_snapshot!(logged(false, false, events), @r#"
        ERROR: it failed code=3
        WARNING: careful
        second line
        INFO: pushed image=a/b:1 digest=sha256:1 note="two words" none=""
        WARNING: trouble elsewhere
        "#);
    }

    #[test]
    fn debug_prints_more_but_no_frames() {
        insta::assert_snapshot!(logged(true, false, events), @r#"
        ERROR: it failed code=3
        WARNING: careful
        second line
        INFO: pushed image=a/b:1 digest=sha256:1 note="two words" none=""
        DEBUG: detail size=Some(1)
        INFO: from another crate
        WARNING: trouble elsewhere
        "#);
    }

    #[test]
    fn an_event_cannot_control_the_terminal() {
        let text = logged(false, true, || {
            tracing::info!("\x1b]0;title\x07server said \x1b[2Jhello");
        });
        assert_eq!(text, "\x1b[36mINFO: server said hello\x1b[0m\n");
    }

    #[test]
    fn a_message_is_bounded() {
        let text = logged(false, false, || tracing::info!("{}", "x".repeat(1 << 20)));
        assert_eq!(
            text.chars().count(),
            "INFO: ".len() + MESSAGE_CHARACTERS + "…\n".chars().count()
        );
    }
}
