//! What can go wrong on purpose, and how often.
//!
//! One roll decides a call, so the probabilities add up to at most 1 and no call meets two faults.

use super::calls::CallKind;
use super::settings::error::SettingsError;

/// One way to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 429 although the count of calls is in order, as the service's CPU quota does; the call is not counted.
    Throttled,
    /// 500
    InternalError,
    /// 503
    Unavailable,
    /// 401 for a token that is in order; the call is not counted.
    Unauthorized,
    /// 307 to another place on the same host.
    Redirect,
    /// The connection is reset; nothing takes effect.
    Reset,
    /// No answer for ten minutes, then 503; nothing takes effect.
    Hang,
    /// The change takes effect, and half of the answer's body arrives before the connection closes.
    Truncated,
    /// The change takes effect, and the connection closes without an answer.
    LostAnswer,
    /// A proxy's page in HTML under 200; nothing takes effect.
    Html,
    /// 404 for a living machine; its next call is spared. Only calls that name one machine meet it.
    NotFound,
}

impl Fault {
    /// Every fault, in the order in which the roll walks over them.
    pub const ALL: [Self; 11] = [
        Self::Throttled,
        Self::InternalError,
        Self::Unavailable,
        Self::Unauthorized,
        Self::Redirect,
        Self::Reset,
        Self::Hang,
        Self::Truncated,
        Self::LostAnswer,
        Self::Html,
        Self::NotFound,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::InternalError => "internal-error",
            Self::Unavailable => "unavailable",
            Self::Unauthorized => "unauthorized",
            Self::Redirect => "redirect",
            Self::Reset => "reset",
            Self::Hang => "hang",
            Self::Truncated => "truncated",
            Self::LostAnswer => "lost-answer",
            Self::Html => "html",
            Self::NotFound => "not-found",
        }
    }

    /// The fault with this name, or with this HTTP status.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "429" => Some(Self::Throttled),
            "500" => Some(Self::InternalError),
            "503" => Some(Self::Unavailable),
            "401" => Some(Self::Unauthorized),
            "404" => Some(Self::NotFound),
            "307" => Some(Self::Redirect),
            _ => Self::ALL.into_iter().find(|fault| fault.name() == name),
        }
    }

    const fn can_meet(self, kind: CallKind) -> bool {
        !matches!(self, Self::NotFound) || matches!(kind, CallKind::Get | CallKind::Tags | CallKind::Value)
    }
}

/// The probability of each fault, 0 to 1; together at most 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Faults([f64; Fault::ALL.len()]);

impl Faults {
    /// Each of these faults with its probability, and no others.
    #[must_use]
    pub fn of(probabilities: &[(Fault, f64)]) -> Self {
        let mut faults = Self::default();
        for (place, fault) in faults.0.iter_mut().zip(Fault::ALL) {
            // Of a fault that is named twice the last counts.
            let named = probabilities.iter().rev().find(|(other, _)| *other == fault);
            *place = named.map_or(0.0, |(_, probability)| *probability);
        }
        faults
    }

    /// Always this one fault.
    #[must_use]
    pub fn always(fault: Fault) -> Self {
        Self::of(&[(fault, 1.0)])
    }

    /// The faults with their probabilities.
    fn each(&self) -> impl Iterator<Item = (Fault, f64)> {
        Fault::ALL.into_iter().zip(self.0)
    }

    /// Whether each probability and their sum lie between 0 and 1.
    ///
    /// # Errors
    /// [`SettingsError`] names the fault that is out of range.
    pub(super) fn check(&self) -> Result<(), SettingsError> {
        let problem = |problem| Err(SettingsError { setting: "faults", problem });
        for (fault, probability) in self.each() {
            if !(0.0..=1.0).contains(&probability) {
                return problem(format!("{} has probability {probability}, not one from 0 to 1", fault.name()));
            }
        }
        let sum: f64 = self.0.iter().sum();
        if sum > 1.0 + 1e-9 {
            return problem(format!("the probabilities add up to {sum}, and at most 1 is possible"));
        }
        Ok(())
    }

    /// The fault that a call of this kind meets when the roll, 0 to 1, falls so.
    pub(super) fn meet(&self, kind: CallKind, roll: f64) -> Option<Fault> {
        let mut passed = 0.0;
        let met = self.each().filter(|(fault, _)| fault.can_meet(kind)).find(|(_, probability)| {
            passed += probability;
            roll < passed
        });
        met.map(|(fault, _)| fault)
    }
}

/// Which calls meet faults; the token endpoint never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FaultScope {
    /// All calls of the API.
    All,
    /// Only those that read.
    Reads,
    /// Only those that change something.
    Writes,
}

impl FaultScope {
    /// Whether a call of this kind can meet a fault.
    pub(super) const fn covers(self, kind: CallKind) -> bool {
        match self {
            Self::All => true,
            Self::Reads => !kind.writes(),
            Self::Writes => kind.writes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_roll_walks_over_the_probabilities() {
        let faults = Faults::of(&[(Fault::InternalError, 0.25), (Fault::Reset, 0.25), (Fault::NotFound, 0.25)]);
        let table = [
            (CallKind::Tags, 0.0, Some(Fault::InternalError)),
            (CallKind::Tags, 0.249, Some(Fault::InternalError)),
            (CallKind::Tags, 0.25, Some(Fault::Reset)),
            (CallKind::Tags, 0.5, Some(Fault::NotFound)),
            (CallKind::Tags, 0.75, None),
            (CallKind::Bulk, 0.5, None),
            (CallKind::List, 0.5, None),
            (CallKind::Get, 0.5, Some(Fault::NotFound)),
        ];
        for (kind, roll, expected) in table {
            assert_eq!(faults.meet(kind, roll), expected, "{kind:?} {roll}");
        }
    }

    #[test]
    fn every_fault_is_set_and_found_by_its_name() {
        for fault in Fault::ALL {
            assert_eq!(Fault::parse(fault.name()), Some(fault));
            let faults = Faults::always(fault);
            assert_eq!(faults.meet(CallKind::Tags, 0.999), Some(fault));
            assert!(faults.each().all(|(other, probability)| (probability > 0.0) == (other == fault)));
        }
        assert_eq!(Fault::parse("503"), Some(Fault::Unavailable));
        assert_eq!(Fault::parse("earthquake"), None);
    }

    #[test]
    fn a_scope_covers_reads_or_writes() {
        assert!(FaultScope::All.covers(CallKind::List) && FaultScope::All.covers(CallKind::Value));
        assert!(FaultScope::Reads.covers(CallKind::Get) && !FaultScope::Reads.covers(CallKind::Tags));
        assert!(FaultScope::Writes.covers(CallKind::Bulk) && !FaultScope::Writes.covers(CallKind::List));
    }
}
