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

/// A rule for each of more tags is nothing that anybody reads.
pub(crate) const MOST_TAGS: usize = 100_000;

/// Writes the file for the tags that begin so.
///
/// # Errors
/// How many tags there are, where no machine has one, or where there are more than [`MOST_TAGS`].
pub(crate) fn dump(inventory: &Inventory, name: &str, prefixes: &[String]) -> Result<String, usize> {
    let begins_so = |tag: &str| prefixes.iter().any(|prefix| tag.starts_with(prefix.as_str()));
    let counts = inventory.tag_counts();
    let tags = counts.iter().filter(|(tag, _)| begins_so(tag)).count();
    if tags == 0 || tags > MOST_TAGS {
        return Err(tags);
    }
    // How many machines have each, and some of them.
    let mut holders: BTreeMap<&str, (u64, BTreeSet<&str>)> = BTreeMap::new();
    for machine in inventory.machines() {
        for tag in machine.tags().filter(|tag| begins_so(tag)) {
            let (_, names) = holders.entry(tag).or_insert_with(|| (counts.of(tag), BTreeSet::new()));
            names.extend(machine.name().filter(|_| names.len() < NAMED_MACHINES));
        }
    }
    // A rule cannot give an odd tag, nor one that another gives in another spelling, so whoever has one is left alone.
    let mut spellings: HashMap<String, (u64, &str)> = HashMap::new();
    for (tag, (count, _)) in holders.iter().filter(|(tag, _)| !is_odd(tag)) {
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
    for (tag, (count, names)) in holders.iter().filter(|(tag, _)| is_given(tag)) {
        let examples = names.iter().map(shown).collect::<Vec<_>>().join(", ");
        let machines = counted(*count, "machine", "machines");
        let examples = if examples.is_empty() { String::new() } else { format!(": {examples}") };
        let more = if *count > NAMED_MACHINES as u64 { " …" } else { "" };
        let (tag, condition) = (toml_text(tag), toml_text(&has_tag(tag)));
        let _written =
            write!(text, "\n[[rule]] # {machines}{examples}{more}\nname = {tag}\nwhere = {condition}\ntag = {tag}\n");
    }
    Ok(text)
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
