//! What the tenant's own tags say about those of a file: a tag to remove that nobody has, and a tag to add that the tenant
//! spells in another way. Neither is refused; both are hardly ever meant.

use std::collections::HashMap;
use std::fmt;

use crate::input::{Excerpt, folded};
use crate::inventory::Inventory;
use crate::model::{Change, Requests, RowNumber, TagAction};
use crate::outside::line_unescaped;

/// The most warnings that are given.
const WARNINGS_MAXIMUM: usize = 20;
/// Tags that share less of their letters than this do not resemble each other.
const RESEMBLANCE: f64 = 0.8;

/// A tag of the file that the tenant does not have as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TenantTagWarning {
    /// The first row that asks for it.
    pub row: RowNumber,
    /// The physical line of that row, from 1.
    pub line: u32,
    /// The tag, as it is shown.
    pub tag: Excerpt,
    /// What the tenant has in its place.
    pub kind: TenantTagKind,
}

/// What the tenant has in place of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TenantTagKind {
    /// No machine has the tag that is to be removed; the nearest one that some have.
    NobodyHas(Option<Excerpt>),
    /// The same, and some have one that is shown so, since it holds a character that nobody sees.
    ShownSo,
    /// The tag that is to be added is there in another case or width, on so many machines.
    OtherSpelling {
        /// The tag as the tenant has it.
        other: Excerpt,
        /// How many machines have it.
        machines: u64,
    },
}

/// The first warnings of these actions, in the order of rows, and how many more there are. Where the service did not show the
/// tags of all machines, nobody can say that a tag is not there.
pub(crate) fn tenant_tag_warnings(
    requests: &Requests,
    actions: &[TagAction],
    inventory: &Inventory,
) -> (Vec<TenantTagWarning>, usize) {
    let (counts, are_all_shown) = (inventory.tag_counts(), inventory.shows_all_tags());
    let mut asked_for = first_requests(requests);
    asked_for.retain(|(.., tag)| counts.of(tag) == 0);
    if asked_for.is_empty() {
        return (Vec::new(), 0);
    }
    // Of each the most frequent that looks the same.
    let looks = asked_for.iter().map(|(.., tag)| (folded(tag), None));
    let mut by_fold: HashMap<String, Option<(u64, &str)>> = looks.collect();
    for (tag, machines) in counts.iter() {
        if let Some(most) = by_fold.get_mut(&folded(tag)) {
            *most = (*most).max(Some((machines, tag)));
        }
    }
    let (mut warnings, mut more) = (Vec::new(), 0);
    for (row, line, action, tag) in asked_for {
        let other = by_fold.get(&folded(tag)).copied().flatten();
        let is_warned = match action {
            TagAction::Add => other.is_some(),
            TagAction::Remove => are_all_shown,
        };
        if !is_warned || !actions.contains(&action) {
            continue;
        }
        if warnings.len() >= WARNINGS_MAXIMUM {
            more += 1;
            continue;
        }
        let kind = match (action, other) {
            (TagAction::Add, Some((machines, other))) => {
                TenantTagKind::OtherSpelling { other: Excerpt::new(other), machines }
            }
            (..) if counts.of(&line_unescaped(tag)) > 0 => TenantTagKind::ShownSo,
            (_, Some((_, other))) => TenantTagKind::NobodyHas(Some(Excerpt::new(other))),
            (_, None) => TenantTagKind::NobodyHas(nearest(tag, counts.iter().map(|(tag, _)| tag)).map(Excerpt::new)),
        };
        warnings.push(TenantTagWarning { row, line, tag: Excerpt::new(tag), kind });
    }
    (warnings, more)
}

/// Every tag with every action that is asked for it, where it is asked for first.
fn first_requests(requests: &Requests) -> Vec<(RowNumber, u32, TagAction, &str)> {
    let mut seen = vec![[false; 2]; requests.tags.len()];
    let mut first = Vec::new();
    for request in &requests.all {
        let Change::Tag(action, number) = request.change else { continue };
        let (Some(seen), Some(tag)) = (seen.get_mut(number.0 as usize), requests.tag(request.change)) else { continue };
        let [adds, removes] = seen;
        let seen = if action == TagAction::Add { adds } else { removes };
        if !std::mem::replace(seen, true) {
            first.push((request.row, request.line, action, tag.as_str()));
        }
    }
    first
}

/// The tag that resembles this one most.
pub(crate) fn nearest<'t>(tag: &str, known: impl Iterator<Item = &'t str>) -> Option<&'t str> {
    let folded_tag = folded(tag);
    let resemblance = |other: &str| strsim::jaro_winkler(&folded_tag, &folded(other));
    let near = known.map(|other| (resemblance(other), other)).filter(|(near, _)| *near >= RESEMBLANCE);
    near.max_by(|one, other| one.0.total_cmp(&other.0).then_with(|| other.1.cmp(one.1))).map(|(_, tag)| tag)
}

impl TenantTagWarning {
    /// Whether it says that a tag is there in another spelling, and that one is not this.
    pub(crate) fn is_about_other_spelling_than(&self, known: &Excerpt) -> bool {
        matches!(&self.kind, TenantTagKind::OtherSpelling { other, .. } if other != known)
    }

    /// What was to be done with the tag.
    pub(crate) const fn action(&self) -> TagAction {
        match self.kind {
            TenantTagKind::NobodyHas(_) | TenantTagKind::ShownSo => TagAction::Remove,
            TenantTagKind::OtherSpelling { .. } => TagAction::Add,
        }
    }

    /// What is said, without the place.
    pub(crate) fn words(&self) -> String {
        let Self { tag, kind, .. } = self;
        match kind {
            TenantTagKind::NobodyHas(None) => {
                format!("no machine of the tenant has the tag \"{tag}\", which is to be removed")
            }
            TenantTagKind::NobodyHas(Some(nearest)) => format!(
                "no machine of the tenant has the tag \"{tag}\", which is to be removed; the nearest is \"{nearest}\""
            ),
            TenantTagKind::ShownSo => format!(
                "no machine of the tenant has the tag \"{tag}\" letter for letter, which is to be removed; some have a tag \
                 that is shown so: write the character itself into the cell, or use \"tagfleet tags remove\""
            ),
            TenantTagKind::OtherSpelling { other, machines } => {
                let machines =
                    if *machines == 1 { "1 machine has".to_owned() } else { format!("{machines} machines have") };
                format!("the tag \"{tag}\" is new to the tenant, where {machines} \"{other}\"")
            }
        }
    }
}

impl fmt::Display for TenantTagWarning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "row {}, line {}: {}", self.row, self.line, self.words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{InputOptions, read};
    use crate::model::MachineRecord;

    const BOTH: [TagAction; 2] = [TagAction::Add, TagAction::Remove];

    fn told(rows: &str, tags: &[Option<&[&str]>]) -> Vec<String> {
        told_of(&BOTH, rows, tags)
    }

    fn told_of(actions: &[TagAction], rows: &str, tags: &[Option<&[&str]>]) -> Vec<String> {
        let sheet =
            read(format!("machineId,tag,action\n{rows}").as_bytes(), &InputOptions::default()).expect("a sheet");
        let machines = (0..).zip(tags).map(|(number, tags): (u32, _)| MachineRecord {
            id: format!("{number:040x}").into(),
            machine_tags: tags.map(|tags| tags.iter().map(|tag| (*tag).into()).collect()),
            ..MachineRecord::default()
        });
        let inventory = Inventory::from_machines(jiff::Timestamp::UNIX_EPOCH, machines);
        let (warnings, more) = tenant_tag_warnings(&sheet.requests, actions, &inventory);
        assert_eq!(more, 0);
        warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_tag_that_nobody_has_or_that_is_spelled_in_another_way_is_told() {
        let tags: &[Option<&[&str]>] =
            &[Some(&["Marketing", "Tier 0"]), Some(&["Marketing"]), Some(&["MARKETING", "Ring A"]), Some(&["a\tb"])];
        let rows = "a,marketing,Add\nb,Tier 0,Add\nc,Tier O,Remove\nd,tier 0,Remove\ne,Xyz,Remove\nf,Xyz,Remove\n\
                    g,New,Add\nh,Ring A,Remove\ni,a\\u{9}b,Remove\n";
        insta::assert_snapshot!(told(rows, tags).join("\n"), @r#"
        row 1, line 2: the tag "marketing" is new to the tenant, where 2 machines have "Marketing"
        row 3, line 4: no machine of the tenant has the tag "Tier O", which is to be removed; the nearest is "Tier 0"
        row 4, line 5: no machine of the tenant has the tag "tier 0", which is to be removed; the nearest is "Tier 0"
        row 5, line 6: no machine of the tenant has the tag "Xyz", which is to be removed
        row 9, line 10: no machine of the tenant has the tag "a\u{9}b" letter for letter, which is to be removed; some have a tag that is shown so: write the character itself into the cell, or use "tagfleet tags remove"
        "#);
    }

    #[test]
    fn only_what_is_asked_for_is_told() {
        let tags: &[Option<&[&str]>] = &[Some(&["Marketing"])];
        for action in BOTH {
            let told = told_of(&[action], "a,MARKETING,Add\nb,MARKETING,Remove\n", tags);
            assert!(told.len() == 1 && told[0].contains("to be removed") == (action == TagAction::Remove), "{told:?}");
        }
    }

    #[test]
    fn where_tags_were_not_shown_nobody_can_say_that_one_is_not_there() {
        let tags: &[Option<&[&str]>] = &[Some(&["Marketing"]), None];
        assert_eq!(told("a,Xyz,Remove\n", tags), <[&str; 0]>::default());
        assert_eq!(told("a,MARKETING,Add\n", tags).len(), 1);
    }
}
