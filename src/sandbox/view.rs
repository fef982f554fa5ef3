//! A machine as the API shows it.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::key::MachineKey;
use super::made_up::{Guid, Particulars, version_and_build};
use super::names::{NameNumber, Names};
use super::settings::SandboxDeviceValue;

/// A machine that has been silent longer is inactive (documented: seven days).
const INACTIVE_AFTER: Duration = Duration::from_hours(168);

/// What the fleet knows of a machine, at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'fleet> {
    pub(super) key: &'fleet MachineKey,
    pub(super) computer_dns_name: &'fleet str,
    pub(super) tags: &'fleet [NameNumber],
    pub(super) device_value: SandboxDeviceValue,
    pub(super) platform: NameNumber,
    pub(super) group: NameNumber,
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
    pub(super) computer_dns_name: &'fleet str,
    pub(super) first_seen: Moment,
    pub(super) last_seen: Moment,
    pub(super) os_platform: &'fleet str,
    pub(super) os_version: Option<&'static str>,
    pub(super) os_build: Option<u32>,
    pub(super) version: Option<&'static str>,
    pub(super) last_ip_address: Ipv4Addr,
    pub(super) last_external_ip_address: Ipv4Addr,
    pub(super) health_status: &'static str,
    pub(super) onboarding_status: &'static str,
    pub(super) device_value: SandboxDeviceValue,
    pub(super) rbac_group_id: u32,
    pub(super) rbac_group_name: &'fleet str,
    pub(super) risk_score: &'static str,
    pub(super) exposure_level: &'static str,
    pub(super) is_aad_joined: bool,
    pub(super) aad_device_id: Guid,
    pub(super) machine_tags: TagList<'fleet>,
}

impl<'fleet> MachineView<'fleet> {
    pub(super) fn new(known: Known<'fleet>, names: &'fleet Names) -> Self {
        let made_up = Particulars::of(known.key);
        let os_platform = names.text(known.platform);
        let (version, build) = version_and_build(os_platform).unzip();
        let first_seen = known.last_seen.checked_sub(made_up.age()).unwrap_or(known.last_seen);
        let silence = Duration::try_from(known.now.duration_since(known.last_seen)).unwrap_or_default();
        Self {
            id: known.key,
            computer_dns_name: known.computer_dns_name,
            first_seen: Moment(first_seen),
            last_seen: Moment(known.last_seen),
            os_platform,
            os_version: version,
            os_build: build,
            version,
            last_ip_address: made_up.address(),
            last_external_ip_address: made_up.external_address(),
            health_status: if silence > INACTIVE_AFTER { "Inactive" } else { "Active" },
            onboarding_status: "Onboarded",
            device_value: known.device_value,
            rbac_group_id: known.group.get().saturating_add(100),
            rbac_group_name: names.text(known.group),
            risk_score: made_up.risk_score(),
            exposure_level: made_up.exposure_level(),
            is_aad_joined: true,
            aad_device_id: known.aad_device_id.unwrap_or_else(|| made_up.directory_device_id()),
            machine_tags: TagList { numbers: known.tags, names },
        }
    }
}

/// The tags of a machine, in the order of adding.
#[derive(Debug, Clone, Copy)]
pub(super) struct TagList<'fleet> {
    numbers: &'fleet [NameNumber],
    names: &'fleet Names,
}

impl<'fleet> TagList<'fleet> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &'fleet str> {
        let names = self.names;
        self.numbers.iter().map(move |number| names.text(*number))
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

    #[test]
    fn a_moment_has_seven_digits_of_a_second() {
        let moment = Timestamp::new(1_533_222_903, 779_185_600).expect("a timestamp");
        assert_eq!(Moment(moment).to_string(), "2018-08-02T15:15:03.7791856Z");
        assert_eq!(Moment(Timestamp::UNIX_EPOCH).to_string(), "1970-01-01T00:00:00.0000000Z");
    }

    #[test]
    fn seven_days_of_silence_make_a_machine_inactive() {
        let mut names = Names::default();
        let key = MachineKey::new("x");
        let (platform, group) = (names.number("Windows11"), names.number("Kiosks"));
        let last_seen = Timestamp::UNIX_EPOCH;
        for (seconds, expected) in [(-10, "Active"), (7 * 86_400, "Active"), (7 * 86_400 + 1, "Inactive")] {
            let now = Timestamp::new(seconds, 0).expect("a timestamp");
            let known = Known {
                key: &key,
                computer_dns_name: "x",
                tags: &[],
                device_value: SandboxDeviceValue::Normal,
                platform,
                group,
                last_seen,
                aad_device_id: None,
                now,
            };
            assert_eq!(MachineView::new(known, &names).health_status, expected, "{seconds}");
        }
    }
}
