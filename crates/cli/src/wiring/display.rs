//! The display of a run: bars on a terminal, plain lines elsewhere, JSON Lines with `--json`.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use untether_model::event::Event;
use untether_model::run::Summary;
use untether_progress::{Bars, Lines, View};

use crate::output::Output;
use crate::state::clock;

enum Kind {
    Bars(Box<Bars>),
    Lines(Box<Lines<std::io::Stderr>>),
    Json,
}

/// Shows events as they come.
pub struct Display(Arc<Mutex<Kind>>);

impl Display {
    /// Goes on from a summary.
    pub fn new(output: &Output, summary: Summary) -> Self {
        let view = View::new(summary);
        let kind = if output.is_json() {
            Kind::Json
        } else if std::io::stderr().is_terminal() {
            Kind::Bars(Box::new(Bars::stderr(view)))
        } else {
            Kind::Lines(Box::new(Lines::new(view, std::io::stderr())))
        };
        Self(Arc::new(Mutex::new(kind)))
    }

    /// Where events go.
    pub fn sink(&self) -> Arc<dyn Fn(Event) + Send + Sync> {
        let shared = Self(self.0.clone());
        let clock = clock();
        Arc::new(move |event| shared.show(&event, clock.wall()))
    }

    /// Shows an event that came at this time.
    pub fn show(&self, event: &Event, at: Timestamp) {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Kind::Bars(bars) => bars.event(event, at),
            Kind::Lines(lines) => lines.event(event, at),
            Kind::Json => Output::new(true).row(event),
        }
    }

    /// Takes the bars away.
    pub fn finish(&self) {
        if let Kind::Bars(bars) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            bars.finish();
        }
    }
}
