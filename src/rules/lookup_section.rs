//! The sections `[lookup.NAME]` of a file of rules.

use super::lookup::{KEYS, LookupOrder};
use super::sections::{Faults, Section};
use crate::input::{Accepted, Doubt, KeyKind, bare_name, encoding};
use crate::outside::shown;
use crate::quota::parse_duration;
use crate::words::listed;

/// The lookups that a file asks for.
pub(super) fn lookup_orders(lookups: Section<'_>, faults: &mut Faults<'_>) -> Vec<LookupOrder> {
    let mut orders: Vec<LookupOrder> = Vec::new();
    for (name, section) in lookups.sections(faults) {
        let bare = bare_name(name.get_ref());
        let is_sound = name.get_ref().chars().all(|it| it.is_alphanumeric() || matches!(it, '_' | '-'));
        if !is_sound
            || bare.is_empty()
            || bare == "machine"
            || orders.iter().any(|other| bare_name(&other.name) == bare)
        {
            faults.at(&name.span(), format!("a lookup cannot be called \"{}\"", shown(name.get_ref())));
            continue;
        }
        orders.extend(lookup_order(name.into_inner(), section, faults));
    }
    orders.sort_by_key(|order| order.line);
    orders
}

fn lookup_order(name: String, mut section: Section<'_>, faults: &mut Faults<'_>) -> Option<LookupOrder> {
    let (line, place) = (faults.line(&section.place), section.place.clone());
    let has_file = section.has("file");
    let file = section.text("file", faults);
    if file.as_ref().map_or(!has_file, |file| file.get_ref().trim().is_empty()) {
        faults.at(&place, format!("the lookup {} names no file", shown(&name)));
    }
    if !section.has("key") {
        let message = format!("the lookup {} needs a key, as in key = {{ computerDnsName = \"Name\" }}", shown(&name));
        faults.at(&place, message);
    }
    let key = section.section("key", faults).and_then(|key| lookup_key(key, faults));
    let max_age = section.text("max-age", faults).and_then(|age| {
        let parsed = parse_duration(age.get_ref());
        if parsed.is_none() {
            faults.at(&age.span(), "max-age needs a duration, as in \"36h\"");
        }
        parsed
    });
    let rows_percent = section.percent("rows", faults);
    let sheet = section.text("sheet", faults).map(toml::Spanned::into_inner);
    let encoding = section.text("encoding", faults).and_then(|label| {
        let known = encoding(label.get_ref());
        if known.is_none() {
            faults.at(&label.span(), "encoding needs the name of an encoding, as in \"windows-1252\"");
        }
        known
    });
    let accepted = accepted(&mut section, faults);
    section.end(faults);
    let ((key, key_column), file) = (key?, file?.into_inner());
    Some(LookupOrder { name, line, file, key_column, key, sheet, encoding, accepted, max_age, rows_percent })
}

/// What is allowed although it is doubtful, of what a list without orders can hold.
fn accepted(section: &mut Section<'_>, faults: &mut Faults<'_>) -> Accepted {
    const OF_LISTS: [Doubt; 3] = [Doubt::LineBreaks, Doubt::HiddenRows, Doubt::MergedCells];
    let mut accepted = Vec::new();
    for name in section.texts("accept", faults) {
        if let Some(doubt) = OF_LISTS.into_iter().find(|doubt| doubt.name() == name.get_ref()) {
            accepted.push(doubt);
        } else {
            let names = OF_LISTS.map(|doubt| doubt.name().to_owned());
            faults.at(&name.span(), format!("accept names one or more of {}", listed(&names, 0)));
        }
    }
    accepted.into_iter().collect()
}

/// The field of machines that the keys are, and the column that holds them.
fn lookup_key(key: Section<'_>, faults: &mut Faults<'_>) -> Option<(KeyKind, String)> {
    let place = key.place.clone();
    let mut key = key;
    let named = KEYS.iter().filter(|(_, field)| key.has(field)).count();
    let mut found: Vec<(KeyKind, String)> = Vec::new();
    for (kind, field) in KEYS {
        found.extend(key.text(field, faults).map(|column| (kind, column.into_inner())));
    }
    // One of another name is told as such.
    let is_none = named == 0 && key.is_empty();
    key.end(faults);
    if is_none || named > 1 || found.iter().any(|(_, column)| column.trim().is_empty()) {
        faults.at(&place, "a key is one of computerDnsName, id and aadDeviceId, with the name of a column");
        return None;
    }
    found.pop()
}
