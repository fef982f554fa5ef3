//! A page about a run, for whoever did not watch it: one file for a browser, made from the store at any time.
//!
//! Numbers, pictures and page are three things: [`figures`] reads the store into numbers, by pure counters that take one
//! call or operation at a time; [`chart`] draws lines on axes and knows no runs; [`html`] and [`parts`] put both on the page,
//! [`object`] the same numbers into an object. Whatever the run's size, the page has the same: time is cut into pieces of
//! which each keeps its peak.

mod answers;
mod axis;
mod chart;
mod figures;
mod html;
mod object;
mod outcomes;
mod parts;
mod span;
mod target;
mod trouble;
mod verdict;
mod window;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use figures::Figures;
pub(crate) use target::{PageError, PageTarget};

use crate::model::is_sandbox_run;
use crate::report::output::frame::Ending;
use crate::report::results::target::ResultsError;
use crate::store::Reader;

/// A page about a run.
#[derive(Debug)]
pub(crate) struct Page(Figures);

impl Page {
    /// Reads what there is to say of a run. Commands about this run that the page suggests must repeat these options; each has a
    /// blank before it.
    ///
    /// # Errors
    /// [`ResultsError`] when the store cannot be read, or has no such run.
    pub(crate) async fn of(
        reader: &Reader,
        run_id: &str,
        repeated_options: &str,
        made_at: Timestamp,
    ) -> Result<Self, ResultsError> {
        Figures::read(reader, run_id, repeated_options, is_sandbox_run(run_id), made_at).await.map(Self)
    }

    /// The page itself.
    pub(crate) fn html(&self) -> String {
        html::page(&self.0, &TimeZone::system())
    }

    /// The same numbers as an object for scripts, but for the causes.
    pub(crate) fn json(&self) -> Value {
        object::object(&self.0)
    }

    /// How the command ends that made it: with the causes, which every object has. Of a run that somebody is at nothing says that
    /// it has ended.
    pub(crate) fn ending(&self, exit_status: u8) -> Ending {
        let finished = Ending::finished(exit_status);
        let ended = if self.0.is_under_way() { "under_way" } else { finished.ended };
        Ending { causes: object::causes(&self.0), ended, ..finished }
    }
}
