//! Which machines a filter chooses, for many filters over three kinds of source, held against what a person would choose.

use std::collections::BTreeSet;

use crate::machines::id;
use crate::process::{Program, at_once};
use crate::rehearsal::Folder;
use crate::stand_in::StandIn;
use crate::table::Table;
use crate::tenant::{Tenant, machine};

/// A device as each source shows it.
struct Device {
    number: u32,
    name: String,
    platform: &'static str,
    /// A number, or something else.
    build: &'static str,
    /// When it was seen, ISO; of exports this may be nothing, or no date.
    seen: String,
    updated: String,
    tags: &'static [&'static str],
    address: String,
    risk: &'static str,
    group: &'static str,
    facing: &'static str,
}

fn one_of<T: Copy>(number: u32, step: u32, all: &[T]) -> T {
    all[(number * step / 7) as usize % all.len()]
}

/// Thirty of them; no two columns go through their values in step.
fn fleet() -> Vec<Device> {
    let yesterday = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24);
    let yesterday = yesterday.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let device = |number: u32| {
        let site = one_of(number, 9, &["ber", "muc", "bern", "BER", "x"]);
        let kind = one_of(number, 15, &["srv", "pc", "SRV"]);
        let domain = one_of(number, 11, &["corp.example", "emea.corp.example"]);
        let seen =
            one_of(number, 10, &["2024-12-24T08:00:00Z", "2025-01-15T00:00:00Z", "2025-02-01T00:00:00Z", &yesterday]);
        let updated = one_of(number, 13, &[seen, seen, seen, "", "never"]);
        let network = one_of(number, 12, &["10.1.2", "10.2.0", "192.168.1"]);
        Device {
            number,
            name: format!("{kind}-{site}-{number:02}.{domain}"),
            platform: one_of(number, 8, &["WindowsServer2022", "Windows11", "Linux", "macOS", "windowsserver2022"]),
            build: one_of(number, 17, &["20348", "22631", "", "n/a", "14393"]),
            seen: seen.to_owned(),
            updated: updated.to_owned(),
            tags: one_of(number, 16, &[&[][..], &["PCI"], &["PCI", "SITE-BER"], &["pci", "Tier 0", "SITE-MUC"]]),
            address: if number.is_multiple_of(11) { String::new() } else { format!("{network}.{number}") },
            risk: one_of(number, 19, &["High", "high", "Low", "None", ""]),
            group: one_of(number, 20, &["Servers", "Workstations", ""]),
            facing: one_of(number, 18, &["True", "False", "1", ""]),
        }
    };
    (1..=30).map(device).collect()
}

impl Device {
    fn terms(&self) -> impl Iterator<Item = String> {
        self.name.split(|it: char| !it.is_alphanumeric()).map(str::to_lowercase)
    }

    fn lower(&self) -> String {
        self.name.to_lowercase()
    }

    fn build(&self) -> Option<u32> {
        self.build.parse().ok()
    }

    fn has(&self, tag: &str) -> bool {
        self.tags.contains(&tag)
    }

    fn is_recent(text: &str) -> bool {
        Self::is_date(text) && text > "2025-02-01T00:00:00Z"
    }

    fn is_date(text: &str) -> bool {
        text.starts_with("202")
    }
}

type Case = (&'static str, fn(&Device) -> bool);

/// Over the portal's export.
const PORTAL: [Case; 36] = [
    ("OSPlatform == 'WindowsServer2022'", |it| it.platform == "WindowsServer2022"),
    ("['OS Platform'] != 'WindowsServer2022'", |it| it.platform != "WindowsServer2022"),
    ("os_platform =~ 'WINDOWSSERVER2022'", |it| it.platform.eq_ignore_ascii_case("windowsserver2022")),
    ("OSPlatform !~ 'LINUX'", |it| it.platform != "Linux"),
    ("OSPlatform in ('Linux', 'macos')", |it| it.platform == "Linux"),
    ("OSPlatform !in ('Linux', 'macOS')", |it| !["Linux", "macOS"].contains(&it.platform)),
    ("OSPlatform in~ ('LINUX', \"MACOS\")", |it| ["Linux", "macOS"].contains(&it.platform)),
    ("OSPlatform !in~ ('linux')", |it| it.platform != "Linux"),
    ("DeviceName has 'ber'", |it| it.terms().any(|term| term == "ber")),
    ("DeviceName !has 'ber'", |it| it.terms().all(|term| term != "ber")),
    ("DeviceName has_cs 'BER'", |it| it.name.contains("-BER-")),
    ("DeviceName contains 'BER'", |it| it.lower().contains("ber")),
    ("DeviceName contains_cs 'BER'", |it| it.name.contains("BER")),
    ("DeviceName !contains 'muc'", |it| !it.name.contains("muc")),
    ("DeviceName startswith 'srv-'", |it| it.lower().starts_with("srv-")),
    ("DeviceName startswith_cs 'srv-'", |it| it.name.starts_with("srv-")),
    ("DeviceName !startswith 'PC'", |it| !it.name.starts_with("pc")),
    ("DeviceName endswith '.EMEA.corp.example'", |it| it.name.ends_with(".emea.corp.example")),
    ("DeviceName !endswith_cs '.emea.corp.example'", |it| !it.name.ends_with(".emea.corp.example")),
    (r"DeviceName matches regex @'^(srv|pc)-[a-z]+-0[1-7]\.'", |it| it.number <= 7 && it.name == it.lower()),
    ("OSBuild >= 20348", |it| it.build().is_some_and(|build| build >= 20348)),
    ("OSBuild < 20348", |it| it.build().is_some_and(|build| build < 20348)),
    ("OSBuild != 20348", |it| it.build().is_some_and(|build| build != 20348)),
    ("not(OSBuild >= 20348)", |it| it.build().is_none_or(|build| build < 20348)),
    ("OSBuild between (14393..20348)", |it| it.build().is_some_and(|build| (14393..=20348).contains(&build))),
    ("OSBuild !between (14393 .. 20348)", |it| it.build() == Some(22631)),
    ("LastDeviceUpdate > ago(30d)", |it| Device::is_recent(&it.updated)),
    ("LastDeviceUpdate <= datetime(2025-01-15)", |it| {
        Device::is_date(&it.updated) && &*it.updated <= "2025-01-15T00:00:00Z"
    }),
    ("isempty(Tags)", |it| it.tags.is_empty()),
    ("isnotempty(LastDeviceUpdate)", |it| !it.updated.is_empty()),
    ("set_has_element(Tags, 'PCI')", |it| it.has("PCI")),
    ("array_length(Tags) >= 2 and Tags contains 'site'", |it| it.tags.len() >= 2),
    ("ipv4_is_in_range(DeviceIPs, '10.1.0.0/16')", |it| it.address.starts_with("10.1.")),
    ("not(ipv4_is_in_range(DeviceIPs, '10.0.0.0/8'))", |it| !it.address.starts_with("10.")),
    ("strlen(DeviceName) > 21", |it| it.name.len() > 21),
    ("tolower(RiskLevel) == 'high' // of either spelling", |it| it.risk.eq_ignore_ascii_case("high")),
];

/// Over an export of advanced hunting.
const HUNTING: [Case; 16] = [
    ("IsInternetFacing == true", |it| ["True", "1"].contains(&it.facing)),
    ("IsInternetFacing == false", |it| it.facing == "False"),
    ("IsInternetFacing != true", |it| it.facing == "False"),
    ("set_has_element(DeviceManualTags, 'pci')", |it| it.has("pci")),
    ("not(set_has_element(DeviceManualTags, 'PCI'))", |it| !it.has("PCI")),
    ("array_length(DeviceManualTags) == 0", |it| it.tags.is_empty()),
    ("DeviceManualTags contains 'tier'", |it| it.has("Tier 0")),
    ("MachineGroup == '' or MachineGroup == 'Servers'", |it| it.group != "Workstations"),
    ("isempty(MachineGroup) and OSPlatform has 'linux'", |it| it.group.is_empty() && it.platform == "Linux"),
    ("Timestamp between (datetime(2024-12-25) .. datetime(2025-01-31 00:00:00))", |it| {
        it.updated == "2025-01-15T00:00:00Z"
    }),
    ("Timestamp < now() and Timestamp > datetime(2025-01-15T00:00:00+01:00)", |it| {
        Device::is_date(&it.updated) && &*it.updated >= "2025-01-15"
    }),
    ("ipv4_is_in_range(PublicIP, '192.168.1.0/24') or ipv4_is_in_range(PublicIP, '10.2.0.7')", |it| {
        it.address.starts_with("192.168.1.") || it.address == "10.2.0.7"
    }),
    ("device_name endswith 'example' and (RiskScore == 'High' or RiskScore == 'Low')", |it| {
        ["High", "Low"].contains(&it.risk)
    }),
    ("not(RiskScore in ('High', 'Low') or isempty(RiskScore))", |it| ["high", "None"].contains(&it.risk)),
    ("OSPlatform == 'Linux' or OSPlatform == 'macOS' and MachineGroup == 'Servers'", |it| {
        it.platform == "Linux" || (it.platform == "macOS" && it.group == "Servers")
    }),
    (r#"DeviceName matches regex "(?i)^SRV-" and strlen(PublicIP) == 0"#, |it| {
        it.lower().starts_with("srv-") && it.address.is_empty()
    }),
];

/// Over the tenant's own list.
const TENANT: [Case; 16] = [
    ("osPlatform == 'Linux'", |it| it.platform == "Linux"),
    ("machine.osPlatform == 'Linux' and osPlatform != 'macOS'", |it| it.platform == "Linux"),
    ("isempty(machineTags)", |it| it.tags.is_empty()),
    ("isempty(machine.machineTags) or set_has_element(machineTags, 'PCI')", |it| it.tags.is_empty() || it.has("PCI")),
    ("array_length(machineTags) == 3", |it| it.tags.len() == 3),
    ("machineTags !contains 'pci'", |it| it.tags.is_empty()),
    ("lastSeen > ago(7d)", |it| Device::is_recent(&it.seen)),
    ("last_seen < datetime(2025-01-15)", |it| &*it.seen < "2025-01-15"),
    ("lastSeen !between (datetime(2025-01-01) .. now())", |it| &*it.seen < "2025"),
    ("computerDnsName has 'bern'", |it| it.name.contains("-bern-")),
    ("computerDnsName startswith 'srv' and not(computerDnsName contains 'muc')", |it| {
        it.lower().starts_with("srv") && !it.name.contains("muc")
    }),
    ("rbacGroupName == 'Servers'", |it| it.group == "Servers"),
    ("isempty(rbacGroupName) or rbacGroupName !startswith 'serv'", |it| it.group != "Servers"),
    (r"computerDnsName matches regex @'-\d*[02468]\.'", |it| it.number % 2 == 0),
    ("machineId in ('a000000000000000000000000000000000000007', 'x')", |it| it.number == 7),
    ("currentDeviceValue == 'Normal' and osPlatform startswith 'windows'", |it| it.platform.starts_with(['W', 'w'])),
];

fn cell(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

fn portal(fleet: &[Device]) -> String {
    let header = "Device ID,Device Name,OS Platform,OS Build,Last device update,Tags,Device IPs,Risk Level\n";
    let row = |it: &Device| {
        let (id, tags) = (id(it.number), it.tags.join(", "));
        let cells = [&*id, &it.name, it.platform, it.build, &it.updated, &tags, &it.address, it.risk];
        cells.map(cell).join(",") + "\n"
    };
    header.to_owned() + &fleet.iter().map(row).collect::<String>()
}

fn hunting(fleet: &[Device]) -> String {
    let header =
        "Timestamp,DeviceId,DeviceName,OSPlatform,DeviceManualTags,PublicIP,RiskScore,MachineGroup,IsInternetFacing\n";
    let row = |it: &Device| {
        let (id, tags) = (id(it.number), serde_json::to_string(it.tags).expect("JSON"));
        let cells = [&*it.updated, &id, &it.name, it.platform, &tags, &it.address, it.risk, it.group, it.facing];
        cells.map(cell).join(",") + "\n"
    };
    header.to_owned() + &fleet.iter().map(row).collect::<String>()
}

/// The numbers of the machines that a command over this source chooses.
fn chosen(server: &StandIn, folder: &Folder, source: &str, filter: &str) -> BTreeSet<u32> {
    let mut command = folder.command();
    command.envs(server.variables()).args(["verify", source, "--where", filter, "--add", "Chosen", "-o", "chosen.csv"]);
    let ended = Program::start(command, None, true).end();
    assert!(matches!(ended.status, Some(0 | 10)), "{source} {filter}: {}", ended.messages);
    let table = Table::read(&folder.read("chosen.csv").expect("the rows"), ',');
    let column = table.header.iter().find(|name| ["Device ID", "DeviceId", "machineId"].contains(&name.as_str()));
    let ids = table.column(column.expect("ids")).into_iter().map(|id| id.trim_start_matches('a').to_owned());
    ids.map(|id| u32::from_str_radix(&id, 16).expect("a machine of the fleet")).collect()
}

#[test]
fn a_filter_chooses_what_a_person_would_choose_whatever_the_source() {
    let fleet = fleet();
    let machines = fleet.iter().map(|it| {
        let described = machine(it.number).named(&it.name).running(it.platform).seen(&it.seen).in_group(it.group);
        it.tags.iter().fold(described, |described, tag| described.tagged(tag))
    });
    let server = Tenant::of(machines).serve();
    let cases = PORTAL.map(|case| ("portal.csv", case)).into_iter();
    let cases = cases.chain(HUNTING.map(|case| ("hunting.csv", case))).chain(TENANT.map(|case| ("@tenant", case)));
    let cases: Vec<_> = cases.collect();
    assert!(cases.len() >= 60);
    at_once(cases.chunks(cases.len().div_ceil(4)), |cases| {
        let folder = Folder::new();
        folder.write("portal.csv", portal(&fleet));
        folder.write("hunting.csv", hunting(&fleet));
        for (source, (filter, is_meant)) in cases {
            let expected: BTreeSet<u32> = fleet.iter().filter(|it| is_meant(it)).map(|it| it.number).collect();
            assert!((1..fleet.len()).contains(&expected.len()), "{filter} tells nobody from the others");
            assert_eq!(chosen(&server, &folder, source, filter), expected, "{source}: {filter}");
        }
    });
}
