//! The company whose machines they are: sites, kinds of machine, and how such machines turn up in the portal.
//!
//! Everything follows from the numbers of [`Particulars`], so a million machines take no memory for it. As in a company
//! that has grown, not all is tidy: names in capitals or without a domain, tags that differ only in case or in the width
//! of a letter, tags of an older scheme, machines that were installed anew under their old name, and some that have been
//! silent for months.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::made_up::{Guid, Particulars};
use super::settings::SandboxDeviceValue;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// A place of the company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Site {
    code: &'static str,
    /// The second byte of its addresses, and the last of the one that the internet sees.
    network: u8,
    region: Region,
    tag: &'static str,
    /// The same in the scheme before this one.
    old_tag: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Region {
    Germany,
    Europe,
    Overseas,
}

/// How many machines in a hundred each site has.
const SITES: [(u64, Site); 7] = [
    (30, Site { code: "ber", network: 10, region: Region::Germany, tag: "SITE-BER", old_tag: "Standort-Berlin" }),
    (22, Site { code: "muc", network: 20, region: Region::Germany, tag: "SITE-MUC", old_tag: "Standort-Muenchen" }),
    (10, Site { code: "ham", network: 30, region: Region::Germany, tag: "SITE-HAM", old_tag: "Standort-Hamburg" }),
    (14, Site { code: "lon", network: 40, region: Region::Europe, tag: "SITE-LON", old_tag: "Standort-London" }),
    (8, Site { code: "par", network: 50, region: Region::Europe, tag: "SITE-PAR", old_tag: "Standort-Paris" }),
    (10, Site { code: "nyc", network: 60, region: Region::Overseas, tag: "SITE-NYC", old_tag: "Standort-New York" }),
    (6, Site { code: "sin", network: 70, region: Region::Overseas, tag: "SITE-SIN", old_tag: "Standort-Singapore" }),
];

/// What a machine is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    DomainController,
    Server,
    LinuxServer,
    Workstation,
    Mac,
    Kiosk,
}

const ROLES: [(u64, Role); 6] = [
    (1, Role::DomainController),
    (16, Role::Server),
    (6, Role::LinuxServer),
    (68, Role::Workstation),
    (5, Role::Mac),
    (4, Role::Kiosk),
];

/// An operating system: its name in the API, its version as it is sold and as a number, and its build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Platform {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) number: &'static str,
    pub(super) build: u32,
}

const fn platform(name: &'static str, version: &'static str, number: &'static str, build: u32) -> Platform {
    Platform { name, version, number, build }
}

const SERVERS: [(u64, Platform); 4] = [
    (45, platform("WindowsServer2022", "21H2", "10.0", 20_348)),
    (35, platform("WindowsServer2019", "1809", "10.0", 17_763)),
    (15, platform("WindowsServer2016", "1607", "10.0", 14_393)),
    (5, platform("WindowsServer2012R2", "6.3", "6.3", 9600)),
];
const WORKSTATIONS: [(u64, Platform); 4] = [
    (50, platform("Windows11", "23H2", "10.0", 22_631)),
    (25, platform("Windows11", "24H2", "10.0", 26_100)),
    (20, platform("Windows10", "22H2", "10.0", 19_045)),
    (5, platform("Windows10", "21H2", "10.0", 19_044)),
];
const MACS: [(u64, Platform); 2] =
    [(70, platform("macOS", "14.6", "14.6", 23)), (30, platform("macOS", "13.7", "13.7", 22))];
const LINUX: [(u64, Platform); 3] = [
    (60, platform("Linux", "22.04", "22.4", 22)),
    (25, platform("Linux", "20.04", "20.4", 20)),
    (15, platform("Linux", "9.4", "9.4", 9)),
];

/// The version of a platform that was only named, where the company has it.
pub(super) fn platform_named(name: &str) -> Option<Platform> {
    let all = SERVERS.iter().chain(&WORKSTATIONS).chain(&MACS).chain(&LINUX);
    all.map(|(_, platform)| *platform).find(|platform| platform.name == name)
}

/// One machine of the company.
#[derive(Debug, Clone, Copy)]
pub(super) struct CompanyMachine {
    numbers: Particulars,
    role: Role,
    site: Site,
}

impl CompanyMachine {
    /// The machine with these numbers. What its name tells, where one was given, comes first.
    pub(super) fn new(numbers: Particulars, name: Option<&str>) -> Self {
        let label = name.map(|name| name.split('.').next().unwrap_or_default().to_ascii_lowercase());
        let words = || label.iter().flat_map(|label| label.split(|letter: char| !letter.is_ascii_alphabetic()));
        let named_role = words().find_map(|word| match word {
            "dc" => Some(Role::DomainController),
            "srv" | "web" | "sql" | "app" | "db" => Some(Role::Server),
            "wks" | "pc" | "nb" => Some(Role::Workstation),
            _ => None,
        });
        let named_site = words().find_map(|word| SITES.iter().map(|(_, site)| *site).find(|site| site.code == word));
        let role = named_role.or_else(|| numbers.pick(1, &ROLES)).unwrap_or(Role::Workstation);
        let [(_, first), ..] = SITES;
        let site = named_site.or_else(|| numbers.pick(2, &SITES)).unwrap_or(first);
        Self { numbers, role, site }
    }

    fn in_hundred(self, purpose: u64, share: u64) -> bool {
        self.numbers.choice(purpose, 100) < share
    }

    /// The DNS name of the machine with this number, counted from 1; its first label ends in the number.
    pub(super) fn computer_dns_name(self, number: usize) -> String {
        let site = self.site.code;
        let label = match self.role {
            Role::DomainController => format!("dc-{site}-{number:04}"),
            Role::Server | Role::LinuxServer => format!("srv-{site}-{number:04}"),
            Role::Workstation => format!("{site}-wks-{number:04}"),
            Role::Mac => format!("{site}-mac-{number:04}"),
            Role::Kiosk => format!("{site}-kiosk-{number:04}"),
        };
        match self.numbers.choice(3, 100) {
            0..2 => label.to_ascii_uppercase() + ".corp.contoso.example",
            2..5 => label,
            5..9 => label + ".dmz.contoso.example",
            _ => label + ".corp.contoso.example",
        }
    }

    /// Whether it was installed anew, so that the machine before it in the list has the same name by now.
    pub(super) fn was_replaced(self) -> bool {
        self.in_hundred(4, 1)
    }

    pub(super) fn platform(self) -> Platform {
        let from: &[(u64, Platform)] = match self.role {
            Role::DomainController | Role::Server => &SERVERS,
            Role::LinuxServer => &LINUX,
            Role::Mac => &MACS,
            Role::Workstation | Role::Kiosk => &WORKSTATIONS,
        };
        let [(_, first), ..] = WORKSTATIONS;
        self.numbers.pick(5, from).unwrap_or(first)
    }

    pub(super) fn group(self) -> &'static str {
        if self.in_hundred(6, 4) {
            return "UnassignedGroup";
        }
        match (self.role, self.site.region) {
            (Role::DomainController, _) => "Domain controllers",
            (Role::Server | Role::LinuxServer, Region::Germany) => "Servers Germany",
            (Role::Server | Role::LinuxServer, Region::Europe) => "Servers Europe",
            (Role::Server | Role::LinuxServer, Region::Overseas) => "Servers Overseas",
            (Role::Kiosk, _) => "Kiosks",
            (Role::Workstation | Role::Mac, Region::Germany) => "Workstations Germany",
            (Role::Workstation | Role::Mac, Region::Europe) => "Workstations Europe",
            (Role::Workstation | Role::Mac, Region::Overseas) => "Workstations Overseas",
        }
    }

    /// The tags that it has before anybody changes them.
    pub(super) fn tags(self) -> impl Iterator<Item = &'static str> {
        let site = [(50, Some(self.site.tag)), (6, Some(self.site.old_tag)), (44, None)];
        let tier: &[(u64, Option<&'static str>)] = match self.role {
            Role::DomainController => &[(90, Some("Tier 0")), (10, None)],
            Role::Server | Role::LinuxServer => {
                &[(60, Some("Tier 1")), (5, Some("tier 1")), (3, Some("Ｔier 1")), (4, Some("Crown jewel")), (28, None)]
            }
            Role::Workstation => &[(5, Some("Pilot")), (2, Some("pilot")), (1, Some("Ｐｉｌｏｔ")), (92, None)],
            Role::Mac => &[(10, Some("Pilot")), (90, None)],
            Role::Kiosk => &[(80, Some("Kiosk")), (10, Some("KIOSK")), (10, None)],
        };
        let department: &[(u64, Option<&'static str>)] = match self.role {
            Role::Workstation | Role::Mac => &[
                (12, Some("DEPT-Sales")),
                (10, Some("DEPT-Finance")),
                (10, Some("DEPT-Engineering")),
                (5, Some("DEPT-HR")),
                (1, Some("Dept-Finance")),
                (62, None),
            ],
            _ => &[(1, None)],
        };
        [self.numbers.pick(7, &site), self.numbers.pick(8, tier), self.numbers.pick(9, department)]
            .into_iter()
            .flatten()
            .flatten()
    }

    pub(super) fn device_value(self) -> SandboxDeviceValue {
        match self.role {
            Role::DomainController => SandboxDeviceValue::High,
            Role::Server if self.in_hundred(10, 10) => SandboxDeviceValue::High,
            Role::Kiosk if self.in_hundred(10, 60) => SandboxDeviceValue::Low,
            _ => SandboxDeviceValue::Normal,
        }
    }

    /// How long ago it was last seen: within a day as a rule, some days or weeks for those on leave, and months for those
    /// that were forgotten.
    pub(super) fn silence(self) -> Duration {
        let at_most = |days: u32| Duration::from_secs(self.numbers.choice(12, (days * DAY).as_secs()));
        match self.numbers.choice(11, 100) {
            0..4 => 30 * DAY + at_most(140),
            4..10 => 8 * DAY + at_most(20),
            10..20 => DAY + at_most(5),
            _ => at_most(1),
        }
    }

    /// How long one has been silent that was replaced.
    pub(super) fn silence_of_the_replaced(self) -> Duration {
        20 * DAY + Duration::from_secs(self.numbers.choice(12, (140 * DAY).as_secs()))
    }

    /// How long a dead machine has been silent: 200 to 300 days, past the service's longest retention period.
    pub(super) fn silence_of_the_dead(self) -> Duration {
        200 * DAY + Duration::from_secs(self.numbers.choice(12, (100 * DAY).as_secs()))
    }

    /// How long before its last sign it was first seen.
    pub(super) fn age(self) -> Duration {
        HOUR + Duration::from_secs(self.numbers.choice(13, (600 * DAY).as_secs()))
    }

    /// The health of one that is not silent.
    pub(super) fn health_status(self) -> &'static str {
        let health = [(96, "Active"), (3, "ImpairedCommunication"), (1, "NoSensorData")];
        self.numbers.pick(14, &health).unwrap_or("Active")
    }

    pub(super) fn onboarding_status(self) -> &'static str {
        let onboarding = [(94, "Onboarded"), (4, "CanBeOnboarded"), (1, "InsufficientInfo"), (1, "Unsupported")];
        self.numbers.pick(15, &onboarding).unwrap_or("Onboarded")
    }

    pub(super) fn managed_by(self) -> &'static str {
        match self.role {
            Role::Workstation | Role::Mac | Role::Kiosk if !self.in_hundred(16, 15) => "Intune",
            Role::Workstation | Role::Server | Role::DomainController => "ConfigMgr",
            _ => "Unknown",
        }
    }

    /// An address of its site: servers have networks of their own.
    pub(super) fn address(self) -> Ipv4Addr {
        let [low, high, ..] = self.numbers.choice(17, u64::MAX).to_le_bytes();
        let third = match self.role {
            Role::DomainController => 1,
            Role::Server | Role::LinuxServer => 16 + high % 16,
            _ => 100 + high % 100,
        };
        Ipv4Addr::new(10, self.site.network, third, low.clamp(1, 254))
    }

    /// The address of its site as the internet sees it, one that RFC 5737 keeps for documentation.
    pub(super) const fn external_address(self) -> Ipv4Addr {
        Ipv4Addr::new(203, 0, 113, self.site.network)
    }

    pub(super) fn risk_score(self) -> &'static str {
        let risks = [(60, "None"), (10, "Informational"), (18, "Low"), (9, "Medium"), (3, "High")];
        self.numbers.pick(18, &risks).unwrap_or("None")
    }

    pub(super) fn exposure_level(self) -> &'static str {
        let exposures = [(10, "None"), (50, "Low"), (28, "Medium"), (12, "High")];
        self.numbers.pick(19, &exposures).unwrap_or("None")
    }

    /// The device's id in the directory, where it has joined it.
    pub(super) fn directory_device_id(self) -> Option<Guid> {
        let joins = match self.role {
            Role::Workstation | Role::Kiosk => 97,
            Role::Server | Role::Mac => 40,
            Role::DomainController | Role::LinuxServer => 0,
        };
        self.in_hundred(20, joins).then(|| self.numbers.directory_device_id())
    }
}

#[cfg(test)]
mod tests;
