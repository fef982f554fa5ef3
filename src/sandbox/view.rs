//! A machine as the API shows it.

use std::borrow::Cow;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::company::{CompanyMachine, platform_named};
use super::key::MachineKey;
use super::made_up::Guid;
use super::names::{NameNumber, Names};
use super::settings::SandboxDeviceValue;

/// A machine that has been silent longer is inactive (documented: seven days).
const INACTIVE_AFTER: Duration = Duration::from_hours(168);

/// What the fleet knows of a machine, at one moment.
#[derive(Debug, Clone)]
pub(super) struct Known<'fleet> {
    pub(super) key: &'fleet MachineKey,
    pub(super) computer_dns_name: Cow<'fleet, str>,
    /// For all that nobody has described.
    pub(super) company: CompanyMachine,
    pub(super) tags: TagList<'fleet>,
    pub(super) device_value: SandboxDeviceValue,
    pub(super) platform: &'fleet str,
    pub(super) group: (NameNumber, &'fleet str),
    pub(super) last_seen: Timestamp,
    /// As it was described; otherwise it is made up.
    pub(super) aad_device_id: Option<Guid>,
    pub(super) now: Timestamp,
}

/// The Machine entity in JSON, with the fields that the documentation lists.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MachineView<'fleet> {
    pub(super) id: &'fleet MachineKey,
    computer_dns_name: Cow<'fleet, str>,
    first_seen: Moment,
    last_seen: Moment,
    os_platform: &'fleet str,
    os_version: Option<&'static str>,
    os_build: Option<u32>,
    os_architecture: &'static str,
    version: Option<&'static str>,
    last_ip_address: Ipv4Addr,
    last_external_ip_address: Ipv4Addr,
    health_status: &'static str,
    onboarding_status: &'static str,
    pub(super) device_value: SandboxDeviceValue,
    rbac_group_id: u32,
    rbac_group_name: &'fleet str,
    risk_score: &'static str,
    exposure_level: &'static str,
    is_aad_joined: bool,
    aad_device_id: Option<Guid>,
    managed_by: &'static str,
    pub(super) machine_tags: TagList<'fleet>,
}

impl<'fleet> MachineView<'fleet> {
    pub(super) fn new(known: Known<'fleet>) -> Self {
        let company = known.company;
        // Of a platform that was described there may be a newer version in the company, or none.
        let platform = Some(company.platform()).filter(|platform| platform.name == known.platform);
        let platform = platform.or_else(|| platform_named(known.platform));
        let first_seen = known.last_seen.checked_sub(company.age()).unwrap_or(known.last_seen);
        let silence = Duration::try_from(known.now.duration_since(known.last_seen)).unwrap_or_default();
        let aad_device_id = known.aad_device_id.or_else(|| company.directory_device_id());
        Self {
            id: known.key,
            computer_dns_name: known.computer_dns_name,
            first_seen: Moment(first_seen),
            last_seen: Moment(known.last_seen),
            os_platform: known.platform,
            os_version: platform.map(|platform| platform.number),
            os_build: platform.map(|platform| platform.build),
            os_architecture: "64-bit",
            version: platform.map(|platform| platform.version),
            last_ip_address: company.address(),
            last_external_ip_address: company.external_address(),
            health_status: if silence > INACTIVE_AFTER { "Inactive" } else { company.health_status() },
            onboarding_status: company.onboarding_status(),
            device_value: known.device_value,
            rbac_group_id: known.group.0.get().saturating_add(100),
            rbac_group_name: known.group.1,
            risk_score: company.risk_score(),
            exposure_level: company.exposure_level(),
            is_aad_joined: aad_device_id.is_some(),
            aad_device_id,
            managed_by: company.managed_by(),
            machine_tags: known.tags,
        }
    }
}

/// The tags of a machine, in the order of adding.
#[derive(Debug, Clone, Copy)]
pub(super) enum TagList<'fleet> {
    /// Those that somebody gave or changed.
    Known { numbers: &'fleet [NameNumber], names: &'fleet Names },
    /// Those that it has had from the beginning.
    MadeUp(CompanyMachine),
}

impl<'fleet> TagList<'fleet> {
    pub(super) fn iter(self) -> impl Iterator<Item = &'fleet str> {
        let (known, made_up) = match self {
            Self::Known { numbers, names } => (Some(numbers.iter().map(|number| names.text(*number))), None),
            Self::MadeUp(company) => (None, Some(company.tags().map(|tag| -> &'fleet str { tag }))),
        };
        known.into_iter().flatten().chain(made_up.into_iter().flatten())
    }
}

impl Serialize for TagList<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// A moment as the service writes it: UTC with seven digits of a second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment(pub(super) Timestamp);

impl fmt::Display for Moment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.7}", self.0)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::made_up::Particulars;

    #[test]
    fn a_moment_has_seven_digits_of_a_second() {
        let moment = Timestamp::new(1_533_222_903, 779_185_600).expect("a timestamp");
        assert_eq!(Moment(moment).to_string(), "2018-08-02T15:15:03.7791856Z");
        assert_eq!(Moment(Timestamp::UNIX_EPOCH).to_string(), "1970-01-01T00:00:00.0000000Z");
    }

    #[test]
    fn seven_days_of_silence_make_a_machine_inactive() {
        let key = MachineKey::new("x");
        let company = CompanyMachine::new(Particulars::of(&key), None);
        let mut names = Names::default();
        let group = (names.number("Kiosks"), "Kiosks");
        for (seconds, expected) in [(-10, "Active"), (7 * 86_400, "Active"), (7 * 86_400 + 1, "Inactive")] {
            let known = Known {
                key: &key,
                computer_dns_name: "x".into(),
                company,
                tags: TagList::MadeUp(company),
                device_value: SandboxDeviceValue::Normal,
                platform: "Windows11",
                group,
                last_seen: Timestamp::UNIX_EPOCH,
                aad_device_id: None,
                now: Timestamp::new(seconds, 0).expect("a timestamp"),
            };
            assert_eq!(MachineView::new(known).health_status, expected, "{seconds}");
        }
    }
}
