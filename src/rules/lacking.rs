//! What a machine lacks that is needed to decide about it, in words.

use super::columns::MachineView;
use crate::outside::shown;

/// What a machine lacks, by the names that filters have for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lacking {
    /// Nothing shows it.
    absent: Vec<String>,
    /// A row of a lookup shows it that may be that of another machine: which row.
    ambiguous: Vec<(String, String)>,
}

impl Lacking {
    /// Of these columns, each with its place.
    pub(super) fn of(columns: Vec<(String, usize)>, machine: &MachineView<'_>) -> Self {
        let mut lacking = Self::default();
        for (name, position) in columns {
            match machine.ambiguity(position) {
                Some(why) => lacking.ambiguous.push((name, why)),
                None => lacking.absent.push(name),
            }
        }
        lacking
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.absent.is_empty() && self.ambiguous.is_empty()
    }

    /// The names of what nothing shows.
    pub(super) fn absent(&self) -> &[String] {
        &self.absent
    }

    /// The names of what may be another machine's.
    pub(super) fn ambiguous(&self) -> Vec<&str> {
        self.ambiguous.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// To be read after the machine's name.
    pub(super) fn words(&self) -> String {
        let absent = (!self.absent.is_empty()).then(|| format!("lacks {}", shown(&self.absent.join(", "))));
        let ambiguous = self.ambiguous.first().map(|(_, why)| {
            let names: Vec<&str> =
                self.ambiguous.iter().filter(|(_, it)| it == why).map(|(name, _)| name.as_str()).collect();
            format!("has no {} for certain ({why})", shown(&names.join(", ")))
        });
        absent.into_iter().chain(ambiguous).collect::<Vec<_>>().join(" and ")
    }
}
