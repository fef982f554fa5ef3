//! The options of `tagfleet sandbox`, and what they mean.

mod values;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::faults::{Fault, FaultScope, Faults};
use super::settings::{BulkAnswer, BulkRefusalStatus, DeadMachines, DeadNaming, NextLink, RetryAfter, SandboxSettings};

pub use values::{MachinesFileError, Quotas};

/// Options of the simulated API.
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own on the command line")]
#[derive(Debug, Clone, Args)]
pub struct SandboxArguments {
    /// Address to serve; loopback only, port 0 takes any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

    /// Number of machines to make up: a company's, with sites, servers, machine groups and tags
    #[arg(long, value_name = "N", default_value_t = 1000, conflicts_with = "machines_file", help_heading = MACHINES)]
    pub machines: usize,

    /// Machines to hold instead: a file with one "id,name" a line; the name may be missing
    #[arg(long, value_name = "FILE", help_heading = MACHINES)]
    pub machines_file: Option<PathBuf>,

    /// Let every id of 40 hexadecimal digits exist as soon as it is named
    #[arg(long, help_heading = MACHINES)]
    pub any_machine: bool,

    /// Number of machines that every write reports as unknown
    #[arg(long, value_name = "N", conflicts_with = "dead_percent", help_heading = MACHINES)]
    pub dead: Option<usize>,

    /// Share of machines that every write reports as unknown; counts for --any-machine too
    #[arg(long, value_name = "PERCENT", value_parser = values::percent, help_heading = MACHINES)]
    pub dead_percent: Option<f64>,

    /// Leave the dead machines out of the list
    #[arg(long, help_heading = MACHINES)]
    pub dead_unlisted: bool,

    /// Show tags and device values in the list as they were this long ago
    #[arg(long, value_name = "DURATION", value_parser = values::duration, default_value = "0s", help_heading = MACHINES)]
    pub list_lag: Duration,

    /// What the list says about its next page
    #[arg(long, value_name = "KIND", value_enum, default_value = "correct", help_heading = MACHINES)]
    pub next_link: NextLink,

    /// Most machines on a page of the list
    #[arg(long, value_name = "N", default_value_t = 10_000, help_heading = MACHINES)]
    pub maximum_page: usize,

    /// Quotas as CALLS/WINDOW, separated by commas, enforced as sliding windows; "off" for none
    #[arg(long, value_name = "SPEC", value_parser = values::quotas, default_value = "100/1m,1500/1h", help_heading = QUOTA)]
    pub quota: Quotas,

    /// Count all calls together, instead of reading, tags and device values each for itself
    #[arg(long, help_heading = QUOTA)]
    pub one_bucket: bool,

    /// Count bulk tag calls apart from single ones
    #[arg(long, conflicts_with = "one_bucket", help_heading = QUOTA)]
    pub bulk_apart: bool,

    /// How a 429 says when to retry
    #[arg(long, value_name = "KIND", value_enum, default_value = "seconds", help_heading = QUOTA)]
    pub retry_after: RetryAfter,

    /// Start the wait again for a call that comes before the time that a 429 named
    #[arg(long, help_heading = QUOTA)]
    pub early_calls_prolong: bool,

    /// How a refused bulk call names its bad ids
    #[arg(long, value_name = "HOW", value_enum, default_value = "all", help_heading = BULK)]
    pub name_dead: DeadNaming,

    /// Status of a bulk call that is refused for its ids
    #[arg(long, value_name = "STATUS", value_enum, default_value = "400", help_heading = BULK)]
    pub bulk_refusal: BulkRefusalStatus,

    /// Answer bulk calls with 403 while single calls work
    #[arg(long, help_heading = BULK)]
    pub bulk_forbidden: bool,

    /// Most machines in a bulk call
    #[arg(long, value_name = "N", default_value_t = 500, help_heading = BULK)]
    pub bulk_limit: usize,

    /// Which machines the answer of a bulk call lists
    #[arg(long, value_name = "WHICH", value_enum, default_value = "all", help_heading = BULK)]
    pub bulk_answer: BulkAnswer,

    /// Let this share of calls go wrong, 0.01 or 1%; may be repeated. Kinds: throttled (429), internal-error (500),
    /// unavailable (503), unauthorized (401), redirect (307), not-found (a false 404), html (a proxy's page under 200),
    /// reset, hang (ten minutes), truncated (half an answer), lost-answer (changed, but no answer)
    #[arg(long, value_name = "KIND=PROBABILITY", value_parser = values::fault, help_heading = FAULTS)]
    pub fault: Vec<(Fault, f64)>,

    /// Calls that meet faults
    #[arg(long, value_name = "CALLS", value_enum, default_value = "all", help_heading = FAULTS)]
    pub fault_scope: FaultScope,

    /// Stop after this many faults
    #[arg(long, value_name = "N", help_heading = FAULTS)]
    pub fault_limit: Option<u64>,

    /// How long answers take: 50ms, or evenly from 20ms..80ms
    #[arg(long, value_name = "RANGE", value_parser = values::duration_range, default_value = "0ms", help_heading = FAULTS)]
    pub latency: RangeInclusive<Duration>,

    /// How long a token lives
    #[arg(long, value_name = "DURATION", value_parser = values::duration, default_value = "1h", help_heading = FAULTS)]
    pub token_lifetime: Duration,

    /// Where all randomness comes from; the same seed makes the same machines
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
}

const MACHINES: &str = "Machines";
const QUOTA: &str = "Quota";
const BULK: &str = "Bulk calls";
const FAULTS: &str = "Faults";

impl SandboxArguments {
    /// The settings that the options ask for. Reads the machines file, if there is one.
    ///
    /// # Errors
    /// [`MachinesFileError`] when the file cannot be read or a line of it is wrong.
    pub fn settings(&self) -> Result<SandboxSettings, MachinesFileError> {
        let (machines, made_up_machines) = match &self.machines_file {
            Some(path) => (values::machines_file(path)?, 0),
            None => (Vec::new(), self.machines),
        };
        let dead = match self.dead_percent {
            Some(percent) => DeadMachines::Share(percent / 100.0),
            None => DeadMachines::Count(self.dead.unwrap_or(0)),
        };
        Ok(SandboxSettings {
            quotas: self.quota.0.clone(),
            one_bucket: self.one_bucket,
            bulk_apart: self.bulk_apart,
            early_calls_prolong: self.early_calls_prolong,
            retry_after: self.retry_after,
            faults: Faults::of(&self.fault),
            fault_scope: self.fault_scope,
            fault_limit: self.fault_limit,
            latency: self.latency.clone(),
            machines,
            made_up_machines,
            any_machine: self.any_machine,
            dead,
            dead_listed: !self.dead_unlisted,
            dead_naming: self.name_dead,
            bulk_refusal_status: self.bulk_refusal,
            bulk_forbidden: self.bulk_forbidden,
            bulk_limit: self.bulk_limit,
            bulk_answer: self.bulk_answer,
            maximum_page: self.maximum_page,
            next_link: self.next_link,
            list_lag: self.list_lag,
            token_lifetime: self.token_lifetime,
            seed: self.seed,
            ..SandboxSettings::default()
        })
    }
}

#[cfg(test)]
mod tests;
