//! What the simulated tenant holds and how it behaves.
//!
//! Plain data; [`SandboxSettings::default`] is a healthy tenant without machines that keeps the documented quotas. What
//! surprises: nothing here is validated until [`SandboxSettings::check`], which [`super::Sandbox::start`] calls.

pub(super) mod error;

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::Timestamp;

use super::faults::{FaultScope, Faults};
use super::made_up;
use super::script::Mishap;

pub use error::SettingsError;

/// The most machines that one sandbox holds, those made on first use included.
pub const MAXIMUM_MACHINES: usize = 2_000_000;

/// The most calls that a quota may allow: every one of them is remembered for the length of its window.
const MAXIMUM_QUOTA_CALLS: usize = 10_000_000;

/// The longest span of time that a setting may name: a year of 366 days.
const LONGEST: Duration = Duration::from_hours(8784);

/// How the simulated tenant behaves.
#[expect(clippy::struct_excessive_bools, reason = "each switches one trait of the tenant on its own")]
#[derive(Debug, Clone, PartialEq)]
pub struct SandboxSettings {
    /// Quotas that hold together, each as an exact sliding window over arrival times; empty for none.
    pub quotas: Vec<SandboxQuota>,
    /// One count for all calls, instead of one each for reading machines, for tags and for device values.
    pub one_bucket: bool,
    /// A count of their own for bulk tag calls, unless all calls are counted together.
    pub bulk_apart: bool,
    /// A call that comes before the time that a 429 named starts that wait again ("calling again too early keeps the
    /// caller refused", says the API's documentation).
    pub early_calls_prolong: bool,
    /// How a 429 tells when to come again.
    pub retry_after: RetryAfter,
    /// How often which fault happens.
    pub faults: Faults,
    /// Which calls meet faults.
    pub fault_scope: FaultScope,
    /// So many faults altogether, then none; `None` for no end.
    pub fault_limit: Option<u64>,
    /// What goes wrong beside the dice, the first that fits a call.
    pub script: Vec<Mishap>,
    /// How long an answer takes, evenly distributed over the range; refusals come at once.
    pub latency: RangeInclusive<Duration>,
    /// The machines of the tenant, in the order of the list.
    pub machines: Vec<SandboxMachine>,
    /// So many further machines, made up from the seed.
    pub made_up_machines: usize,
    /// Every well-formed id (40 hexadecimal digits) exists as soon as it is first named.
    pub any_machine: bool,
    /// Which machines are dead beside those of [`SandboxSettings::machines`] that say so themselves.
    pub dead: DeadMachines,
    /// Whether the machines that [`SandboxSettings::dead`] chooses stay in the list.
    pub dead_listed: bool,
    /// How the text of a refused bulk call names the bad ids.
    pub dead_naming: DeadNaming,
    /// The status of a bulk call that was refused for its ids; users report 400, and 404 at times.
    pub bulk_refusal_status: BulkRefusalStatus,
    /// The bulk call answers 403 while the single one works.
    pub bulk_forbidden: bool,
    /// The most ids in a bulk call; 500 is documented.
    pub bulk_limit: usize,
    /// Which machines the answer of a bulk call lists.
    pub bulk_answer: BulkAnswer,
    /// The most machines on a page of the list; 10,000 is documented.
    pub maximum_page: usize,
    /// What the list says about the next page.
    pub next_link: NextLink,
    /// Tags that differ in case only are one and the same.
    pub ignores_case: bool,
    /// The list shows tags and device values as they were so long ago.
    pub list_lag: Duration,
    /// How long a token lives.
    pub token_lifetime: Duration,
    /// The permissions that tokens carry; writes need `Machine.ReadWrite.All`, reads that or `Machine.Read.All`.
    pub roles: Vec<String>,
    /// The only client secret that signs in; `None` accepts any secret and any assertion that is not empty.
    pub client_secret: Option<SandboxSecret>,
    /// Where all randomness comes from: made-up machines, faults, latency, tokens and correlation ids.
    pub seed: u64,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            quotas: vec![
                SandboxQuota { calls: 100, window: Duration::from_mins(1) },
                SandboxQuota { calls: 1500, window: Duration::from_hours(1) },
            ],
            one_bucket: false,
            bulk_apart: false,
            early_calls_prolong: false,
            retry_after: RetryAfter::Seconds,
            faults: Faults::default(),
            fault_scope: FaultScope::All,
            fault_limit: None,
            script: Vec::new(),
            latency: Duration::ZERO..=Duration::ZERO,
            machines: Vec::new(),
            made_up_machines: 0,
            any_machine: false,
            dead: DeadMachines::Count(0),
            dead_listed: true,
            dead_naming: DeadNaming::All,
            bulk_refusal_status: BulkRefusalStatus::BadRequest,
            bulk_forbidden: false,
            bulk_limit: 500,
            bulk_answer: BulkAnswer::All,
            maximum_page: 10_000,
            next_link: NextLink::Correct,
            ignores_case: false,
            list_lag: Duration::ZERO,
            token_lifetime: Duration::from_hours(1),
            roles: vec![READ_WRITE_ROLE.to_owned()],
            client_secret: None,
            seed: 1,
        }
    }
}

/// The permission that lets an app read and change machines.
pub(super) const READ_WRITE_ROLE: &str = "Machine.ReadWrite.All";
/// The permission that lets an app only read them.
pub(super) const READ_ROLE: &str = "Machine.Read.All";

impl SandboxSettings {
    /// Checks every figure that could make the sandbox unusable or misleading.
    ///
    /// # Errors
    /// [`SettingsError`] names the first setting that is out of its range.
    pub fn check(&self) -> Result<(), SettingsError> {
        for quota in &self.quotas {
            within("quotas", (1..=MAXIMUM_QUOTA_CALLS).contains(&quota.calls), "a quota allows 1 to 10000000 calls")?;
            within("quotas", is_span(quota.window), "a quota's window must be longer than nothing and at most a year")?;
        }
        self.faults.check()?;
        within("latency", self.latency.start() <= self.latency.end(), "the lower end is above the upper end")?;
        within("latency", *self.latency.end() <= LONGEST, "it must be at most a year")?;
        let machines = self.machines.len().saturating_add(self.made_up_machines);
        within("machines", machines <= MAXIMUM_MACHINES, "the sandbox holds at most 2000000 machines")?;
        if let DeadMachines::Share(share) = self.dead {
            within("dead machines", (0.0..=1.0).contains(&share), "the share must lie between 0 and 1")?;
        }
        within("bulk limit", self.bulk_limit > 0, "a bulk call must be allowed at least 1 machine")?;
        within("maximum page", self.maximum_page > 0, "a page must hold at least 1 machine")?;
        within("list lag", self.list_lag <= LONGEST, "it must be at most a year")?;
        within("token lifetime", is_span(self.token_lifetime), "it must be longer than nothing and at most a year")
    }
}

fn is_span(span: Duration) -> bool {
    !span.is_zero() && span <= LONGEST
}

fn within(setting: &'static str, holds: bool, problem: &'static str) -> Result<(), SettingsError> {
    if holds { Ok(()) } else { Err(SettingsError { setting, problem: problem.to_owned() }) }
}

/// So many calls in any span of time as long as the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxQuota {
    /// Calls that may arrive.
    pub calls: usize,
    /// The length of the window.
    pub window: Duration,
}

/// How a 429 tells when to come again; each variant is one source alone, so that reading each can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum RetryAfter {
    /// `Retry-After` in whole seconds (documented).
    Seconds,
    /// `Retry-After` as an HTTP date (RFC 9110, section 10.2.3).
    Date,
    /// No header; the message ends in: You can send requests again in 8 seconds. (reported by users).
    Text,
    /// Nothing at all.
    #[value(name = "none")]
    Absent,
}

/// Which machines are dead: unknown or inactive for every write.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DeadMachines {
    /// Exactly so many of the machines that are there at the start, chosen by the seed.
    Count(usize),
    /// Each machine with this probability, 0 to 1, by seed and id; machines made on first use too.
    Share(f64),
}

/// How the text of a refused bulk call names the bad ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DeadNaming {
    /// Every bad id.
    All,
    /// The first of them.
    One,
    /// None of them.
    #[value(name = "none")]
    Absent,
    /// Every id of the call, the good ones as well.
    Everybody,
}

/// The status of a bulk call that was refused for its ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum BulkRefusalStatus {
    /// 400 `InvalidInput`
    #[value(name = "400")]
    BadRequest,
    /// 404 `ResourceNotFound`
    #[value(name = "404")]
    NotFound,
}

/// Which machines the answer of a bulk call lists; the change is made to all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum BulkAnswer {
    /// All of them.
    All,
    /// The first half, rounded up.
    Half,
    /// None.
    #[value(name = "none")]
    Absent,
}

/// What the list says in `@odata.nextLink`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum NextLink {
    /// The next page where there is one.
    Correct,
    /// Nothing, even where there is a next page.
    #[value(name = "none")]
    Absent,
    /// Always this same page again.
    Endless,
}

/// The value of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum SandboxDeviceValue {
    /// Counts less in exposure scores.
    Low,
    /// What every machine starts with.
    Normal,
    /// Counts more.
    High,
}

impl SandboxDeviceValue {
    /// Reads the name as the API wants it: the case matters.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Low, Self::Normal, Self::High].into_iter().find(|value| value.name() == name)
    }

    /// The name in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Normal => "Normal",
            Self::High => "High",
        }
    }
}

/// One machine of the tenant; what is `None` is made up from its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxMachine {
    /// The id; as a rule 40 hexadecimal digits, which are then held in lower case.
    pub id: String,
    /// The full computer DNS name.
    pub computer_dns_name: Option<String>,
    /// The device's id in the directory, a GUID.
    pub aad_device_id: Option<String>,
    /// The tags at the start, in the order of adding.
    pub tags: Vec<String>,
    /// The device value at the start.
    pub device_value: SandboxDeviceValue,
    /// The device group's name.
    pub group: Option<String>,
    /// The operating system platform, `Windows11` for example.
    pub os_platform: Option<String>,
    /// When the machine was last seen; seven days of silence make it inactive.
    pub last_seen: Option<Timestamp>,
    /// Whether the list shows it.
    pub listed: bool,
    /// Whether every write calls it unknown.
    pub dead: bool,
    /// Whether asset rules hold its tags and value: writes are accepted, answered and without effect.
    pub held_by_rule: bool,
}

impl SandboxMachine {
    /// A living, listed machine without tags.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            computer_dns_name: None,
            aad_device_id: None,
            tags: Vec::new(),
            device_value: SandboxDeviceValue::Normal,
            group: None,
            os_platform: None,
            last_seen: None,
            listed: true,
            dead: false,
            held_by_rule: false,
        }
    }

    /// The same, known by its computer DNS name only; the id is made up from the name and always the same.
    #[must_use]
    pub fn named(computer_dns_name: impl Into<String>) -> Self {
        let name = computer_dns_name.into();
        let id = made_up::id_for_name(&name).to_string();
        Self { computer_dns_name: Some(name), ..Self::new(id) }
    }

    /// The same, known by its id in the directory only; the id is made up from that and always the same.
    #[must_use]
    pub fn of_device(aad_device_id: impl Into<String>) -> Self {
        let device = aad_device_id.into();
        let id = made_up::id_for_name(&device).to_string();
        Self { aad_device_id: Some(device), ..Self::new(id) }
    }
}

/// A client secret or a token; it shows itself to nobody who does not ask.
#[derive(Clone, PartialEq, Eq)]
pub struct SandboxSecret(String);

impl SandboxSecret {
    /// Takes the secret.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SandboxSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::faults::Fault;

    type Spoil = fn(&mut SandboxSettings);

    #[test]
    fn the_default_is_in_range_and_every_figure_is_checked() {
        assert_eq!(SandboxSettings::default().check(), Ok(()));
        let table: [(&str, Spoil); 13] = [
            ("quotas", |settings| settings.quotas = vec![SandboxQuota { calls: 0, window: Duration::from_secs(1) }]),
            ("quotas", |settings| settings.quotas = vec![SandboxQuota { calls: 1, window: Duration::ZERO }]),
            ("faults", |settings| settings.faults = Faults::of(&[(Fault::Reset, 1.5)])),
            ("faults", |settings| settings.faults = Faults::of(&[(Fault::Reset, 0.6), (Fault::Hang, 0.6)])),
            ("machines", |settings| settings.made_up_machines = MAXIMUM_MACHINES + 1),
            ("dead machines", |settings| settings.dead = DeadMachines::Share(f64::NAN)),
            ("bulk limit", |settings| settings.bulk_limit = 0),
            ("maximum page", |settings| settings.maximum_page = 0),
            ("token lifetime", |settings| settings.token_lifetime = Duration::ZERO),
            ("token lifetime", |settings| settings.token_lifetime = Duration::MAX),
            ("latency", |settings| settings.latency = Duration::ZERO..=Duration::MAX),
            ("latency", |settings| settings.latency = Duration::from_secs(1)..=Duration::ZERO),
            ("list lag", |settings| settings.list_lag = Duration::MAX),
        ];
        for (setting, spoil) in table {
            let mut settings = SandboxSettings::default();
            spoil(&mut settings);
            assert_eq!(settings.check().map_err(|error| error.setting), Err(setting));
        }
    }

    #[test]
    fn a_machine_known_by_name_has_a_well_formed_id_of_its_own() {
        let [first, again, other] = ["web1", "web1", "web2"].map(SandboxMachine::named);
        assert_eq!(first, again);
        assert_ne!(first.id, other.id);
        assert!(first.id.len() == 40 && first.id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{}", first.id);
        assert_eq!(first.computer_dns_name.as_deref(), Some("web1"));
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        let settings =
            SandboxSettings { client_secret: Some(SandboxSecret::new("hunter2")), ..SandboxSettings::default() };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
