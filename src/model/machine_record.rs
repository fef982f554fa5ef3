//! A machine as it was read, in the service's own words.

/// What an allocation takes besides its text.
const ALLOCATION_BYTES: usize = 16;

/// A machine as reads of the service show it (the API's Machine resource). Texts are as the service wrote them; what is
/// missing, null or empty there is `None` here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineRecord {
    /// The id, never empty in a page.
    pub id: Box<str>,
    /// The computer's DNS name, full as a rule.
    pub computer_dns_name: Option<Box<str>>,
    /// When it was first seen.
    pub first_seen: Option<Box<str>>,
    /// When its last full report came.
    pub last_seen: Option<Box<str>>,
    /// The operating system, `Windows11` for example.
    pub os_platform: Option<Box<str>>,
    /// The operating system's version as a number, `10.0.0.0` for example.
    pub os_version: Option<Box<str>>,
    /// The operating system's build.
    pub os_build: Option<Box<str>>,
    /// The operating system's version as it is sold, `23H2` for example.
    pub version: Option<Box<str>>,
    /// The processor's architecture.
    pub os_architecture: Option<Box<str>>,
    /// `Active`, `Inactive` and others.
    pub health_status: Option<Box<str>>,
    /// `Onboarded`, `CanBeOnboarded` and others.
    pub onboarding_status: Option<Box<str>>,
    /// The machine group.
    pub rbac_group_name: Option<Box<str>>,
    /// The risk, `Low` for example.
    pub risk_score: Option<Box<str>>,
    /// The exposure, `Low` for example.
    pub exposure_level: Option<Box<str>>,
    /// The device's id in the directory.
    pub aad_device_id: Option<Box<str>>,
    /// What manages the machine, `Intune` for example.
    pub managed_by: Option<Box<str>>,
    /// Its last address in its own network.
    pub last_ip_address: Option<Box<str>>,
    /// Its last address as the internet sees it.
    pub last_external_ip_address: Option<Box<str>>,
    /// Its tags, in the service's order; `None` when the answer does not show them.
    pub machine_tags: Option<Vec<Box<str>>>,
    pub device_value: Option<Box<str>>,
}

impl MachineRecord {
    /// How many bytes of memory it takes, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        let text_bytes = |text: &str| text.len() + ALLOCATION_BYTES;
        let fields = [
            &self.computer_dns_name,
            &self.first_seen,
            &self.last_seen,
            &self.os_platform,
            &self.os_version,
            &self.os_build,
            &self.version,
            &self.os_architecture,
            &self.health_status,
            &self.onboarding_status,
            &self.rbac_group_name,
            &self.risk_score,
            &self.exposure_level,
            &self.aad_device_id,
            &self.managed_by,
            &self.last_ip_address,
            &self.last_external_ip_address,
            &self.device_value,
        ];
        let fields: usize = fields.into_iter().flatten().map(|text| text_bytes(text)).sum();
        let tags = self.machine_tags.iter().flatten();
        let tags: usize = tags.map(|tag| size_of::<Box<str>>() + text_bytes(tag)).sum();
        size_of::<Self>() + text_bytes(&self.id) + fields + tags
    }
}
