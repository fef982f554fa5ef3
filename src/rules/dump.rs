//! A first file of rules, from the tags that a tenant has: applied as it is, it changes nothing.
//!
//! Its rules say of each tag that whoever has it shall have it. What the tags stand for, only whoever reads the file can
//! say, by another condition.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use crate::input::{TagOddity, folded};
use crate::inventory::Inventory;
use crate::model::Tag;
use crate::outside::{is_harmless, shown};
use crate::words::counted;

/// How many machines are named for each tag.
const NAMED_MACHINES: usize = 3;

/// The machines that have a tag.
#[derive(Default)]
struct Holders<'i> {
    count: u64,
    names: Vec<&'i str>,
}

/// Writes the file for the tags that begin so; `None` when no machine has one.
pub(crate) fn dump(inventory: &Inventory, name: &str, prefixes: &[String]) -> Option<String> {
    let mut holders: BTreeMap<&str, Holders<'_>> = BTreeMap::new();
    for machine in inventory.machines() {
        for tag in machine.tags().filter(|tag| prefixes.iter().any(|prefix| tag.starts_with(prefix.as_str()))) {
            let holders = holders.entry(tag).or_default();
            holders.count += 1;
            holders.names.extend(machine.name().filter(|_| holders.names.len() < NAMED_MACHINES));
        }
    }
    if holders.is_empty() {
        return None;
    }
    // A rule cannot give an odd tag, nor one that another gives in another spelling, so whoever has one is left alone.
    let mut spellings: HashMap<String, (u64, &str)> = HashMap::new();
    for (tag, Holders { count, .. }) in holders.iter().filter(|(tag, _)| !is_odd(tag)) {
        let most = spellings.entry(folded(tag)).or_insert((*count, tag));
        if *count > most.0 {
            *most = (*count, tag);
        }
    }
    let is_given = |tag: &str| spellings.get(folded(tag).as_str()).is_some_and(|(_, given)| *given == tag);
    let odd: Vec<&str> = holders.keys().copied().filter(|tag| !is_given(tag)).collect();
    let mut text = String::new();
    // Writing into a string cannot fail.
    let _written = write!(
        text,
        "# Written by tagfleet rules --dump: each rule keeps a tag where it is. Put what the tag stands for in the place of its\n\
         # condition, for example \"computerDnsName startswith 'ber-'\".\n\
         schema = 1\nname = {}\n\n[own]\nprefixes = [{}]\n",
        toml_text(name),
        prefixes.iter().map(|prefix| toml_text(prefix)).collect::<Vec<_>>().join(", ")
    );
    if !odd.is_empty() {
        let conditions: Vec<String> = odd.iter().map(|tag| format!("not({})", has_tag(tag))).collect();
        let machines =
            counted(odd.len() as u64, "tag that is odd or a second spelling", "tags that are odd or second spellings");
        let condition = toml_text(&conditions.join(" and "));
        let _written = write!(
            text,
            "\n[scope] # leaves out who has one of {machines}, which no rule may give\nwhere = {condition}\n"
        );
    }
    for (tag, Holders { count, names }) in holders.iter().filter(|(tag, _)| !odd.contains(tag)) {
        let names: BTreeSet<String> = names.iter().map(shown).collect();
        let examples = names.into_iter().collect::<Vec<_>>().join(", ");
        let machines = counted(*count, "machine", "machines");
        let examples = if examples.is_empty() { String::new() } else { format!(": {examples}") };
        let more = if *count > NAMED_MACHINES as u64 { " …" } else { "" };
        let (tag, condition) = (toml_text(tag), toml_text(&has_tag(tag)));
        let _written =
            write!(text, "\n[[rule]] # {machines}{examples}{more}\nname = {tag}\nwhere = {condition}\ntag = {tag}\n");
    }
    Some(text)
}

/// Whether a rule may not give a tag.
fn is_odd(tag: &str) -> bool {
    // Braces are holes of a template there.
    Tag::addable(tag).is_err() || TagOddity::of(tag).is_some() || tag.trim() != tag || tag.contains(['{', '}'])
}

/// The condition that a machine has a tag.
fn has_tag(tag: &str) -> String {
    let mut literal = String::new();
    for character in tag.chars() {
        match character {
            '\\' | '\'' => literal.extend(['\\', character]),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\t' => literal.push_str("\\t"),
            other => literal.push(other),
        }
    }
    format!("set_has_element(machineTags, '{literal}')")
}

/// A text as TOML has it: a basic string.
fn toml_text(text: &str) -> String {
    let mut written = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => written.extend(['\\', character]),
            // What could not be shown as it is would be written otherwise on its way out.
            it if !is_harmless(it) => {
                let _written = write!(written, "\\U{:08X}", u32::from(it));
            }
            it => written.push(it),
        }
    }
    written.push('"');
    written
}
