//! Lists of machines that were exported, by the names of their columns: this program's own, the portal's, advanced hunting's.

use super::machines::COLUMNS;
use crate::input::{bare_name, list_elements};
use crate::model::MachineRecord;

/// What other exports call the fields that they show; of several, the first that is there counts.
const OTHER_NAMES: [(&str, &[&str]); 9] = [
    ("computerDnsName", &["Device Name"]),
    ("lastSeen", &["Last device update"]),
    ("version", &["Windows 10 Version", "OSVersionInfo"]),
    ("healthStatus", &["SensorHealthState"]),
    ("rbacGroupName", &["Group", "MachineGroup"]),
    ("riskScore", &["Risk Level"]),
    ("aadDeviceId", &["Azure AD Device ID", "Entra Device Id", "Microsoft Entra Device Id"]),
    (TAGS, &["DeviceManualTags", "Tags"]),
    ("currentDeviceValue", &["Device Value", "AssetValue"]),
];
const TAGS: &str = "machineTags";

/// Where an exported list has which field of machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExportedColumns {
    /// Of each of [`COLUMNS`], the column that holds it.
    positions: [Option<usize>; COLUMNS.len()],
    /// The name of the column of tags, by which they are read.
    tags: String,
}

impl ExportedColumns {
    /// Finds the fields by the cells of the header, whatever their case, blanks, `_` and `-`.
    pub(crate) fn find(header: &[String]) -> Self {
        let header: Vec<String> = header.iter().map(|cell| bare_name(cell)).collect();
        let of_name = |name: &str| header.iter().position(|cell| *cell == bare_name(name));
        let positions = COLUMNS.map(|field| {
            let others = OTHER_NAMES.iter().filter(|(known, _)| *known == field).flat_map(|(_, names)| *names);
            of_name(field).or_else(|| others.copied().find_map(of_name))
        });
        let mut columns = Self { positions, tags: String::new() };
        let tags = columns.position(TAGS).and_then(|position| header.get(position).cloned());
        columns.tags = tags.unwrap_or_default();
        columns
    }

    /// The fields among these, or the tags, that no column holds. The first field is the id, which every list has.
    pub(crate) fn lacking(&self, fields: impl IntoIterator<Item = &'static str>) -> Vec<&'static str> {
        let fields: Vec<&str> = fields.into_iter().collect();
        let is_asked = |field: &&str| *field == TAGS || fields.contains(field);
        COLUMNS.into_iter().skip(1).filter(is_asked).filter(|field| self.position(field).is_none()).collect()
    }

    /// The machine of a row. An empty cell shows nothing, but for a list that nothing else could show to be empty.
    pub(super) fn machine<'c>(&self, id: &str, cell: impl Fn(usize) -> &'c str) -> MachineRecord {
        let trimmed = |field: &str| self.position(field).map(|position| cell(position).trim());
        let text = |field: &str| trimmed(field).filter(|text| !text.is_empty()).map(Into::into);
        MachineRecord {
            id: id.into(),
            computer_dns_name: text("computerDnsName"),
            first_seen: text("firstSeen"),
            last_seen: text("lastSeen"),
            os_platform: text("osPlatform"),
            os_version: text("osVersion"),
            os_build: text("osBuild"),
            version: text("version"),
            os_architecture: text("osArchitecture"),
            health_status: text("healthStatus"),
            onboarding_status: text("onboardingStatus"),
            rbac_group_name: text("rbacGroupName"),
            risk_score: text("riskScore"),
            exposure_level: text("exposureLevel"),
            aad_device_id: text("aadDeviceId"),
            managed_by: text("managedBy"),
            last_ip_address: text("lastIpAddress"),
            last_external_ip_address: text("lastExternalIpAddress"),
            machine_tags: trimmed(TAGS).and_then(|cell| list_elements(&self.tags, cell)),
            device_value: text("currentDeviceValue"),
        }
    }

    /// The column that holds a field.
    pub(crate) fn position(&self, field: &str) -> Option<usize> {
        let place = COLUMNS.iter().position(|column| *column == field)?;
        self.positions.get(place).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a list with this header and this row shows of the machine.
    fn shown(header: &str, row: &[&str]) -> MachineRecord {
        let header: Vec<String> = header.split(',').map(str::to_owned).collect();
        ExportedColumns::find(&header).machine("a", |position| row[position])
    }

    #[test]
    fn an_export_shows_its_fields_under_its_own_names() {
        let tags = |tags: &[&str]| Some(tags.iter().map(|tag| (*tag).into()).collect::<Vec<Box<str>>>());
        let portal = shown(
            "Device ID,Device Name,Last device update,OS Platform,Tags,Group,Risk Level,Health Status",
            &["a", "x.corp", "2026-01-01", "Windows11", "SITE-DE, VIP", "Servers", "High", ""],
        );
        let of_portal = MachineRecord {
            id: "a".into(),
            computer_dns_name: Some("x.corp".into()),
            last_seen: Some("2026-01-01".into()),
            os_platform: Some("Windows11".into()),
            rbac_group_name: Some("Servers".into()),
            risk_score: Some("High".into()),
            machine_tags: tags(&["SITE-DE", "VIP"]),
            ..MachineRecord::default()
        };
        assert_eq!(portal, of_portal);
        assert_eq!(shown("Device ID,Tags", &["a", " "]).machine_tags, tags(&[]), "nothing is how commas write no tag");
        let hunted = "DeviceId,DeviceName,MachineGroup,DeviceManualTags,SensorHealthState,AssetValue";
        let hunted = shown(hunted, &["a", "x.corp", "Servers", "[\"SITE-DE\"]", "Active", "High"]);
        let of_hunting = MachineRecord {
            id: "a".into(),
            computer_dns_name: Some("x.corp".into()),
            health_status: Some("Active".into()),
            rbac_group_name: Some("Servers".into()),
            machine_tags: tags(&["SITE-DE"]),
            device_value: Some("High".into()),
            ..MachineRecord::default()
        };
        assert_eq!(hunted, of_hunting);
        for lacking in ["", "SITE-DE"] {
            assert_eq!(shown("machineId,machineTags", &["a", lacking]).machine_tags, None, "{lacking}");
        }
    }

    #[test]
    fn a_field_has_its_own_name_before_any_other() {
        let both = shown("Device Name,computer_dns_name,tags,Machine Tags", &["x", "y", "A", "[\"B\"]"]);
        assert_eq!(both.computer_dns_name.as_deref(), Some("y"));
        assert_eq!(both.machine_tags, Some(vec!["B".into()]));
    }

    #[test]
    fn what_no_column_holds_is_known() {
        let columns = ExportedColumns::find(&["Device ID".to_owned(), "OS Platform".to_owned()]);
        assert_eq!(columns.lacking(["machineId", "osPlatform", "lastSeen"]), ["lastSeen", "machineTags"]);
    }
}
