//! What a cell means that names a machine: an id, an Entra device id or a name, in whatever decoration programs put it.
//!
//! What has one meaning is read, and the decoration is told once per file. What was damaged on its way (by a spreadsheet, by a
//! cut) is wrong before any call: the machine that it meant is gone from the file, and another one may be hit.

use std::net::IpAddr;

use crate::input::findings::excerpt::Excerpt;
use crate::input::findings::problem::ProblemKind;
use crate::input::oddities::decoration::{Decoration, Decorations};
use crate::input::oddities::placeholders::{is_spreadsheet_error, stands_for_nothing};
use crate::input::oddities::unicode::is_invisible;
use crate::model::{EntraDeviceId, MachineId, MachineReference};

/// The most characters of a machine's cell. A DNS name has at most 253.
const MACHINE_MAXIMUM_CHARACTERS: usize = 1000;

/// The hexadecimal digits of an id.
const ID_DIGITS: usize = 40;
/// Hexadecimal digits of a text that was an id before it lost or gained some.
const DAMAGED_DIGITS: std::ops::RangeInclusive<usize> = 30..=50;

/// Reads a trimmed cell.
pub(in crate::input) fn read(cell: &str) -> Result<(MachineReference, Decorations), ProblemKind> {
    let (bare, mut decorations) = without_decorations(cell);
    if bare.is_empty() {
        return Err(ProblemKind::MissingMachine);
    }
    match MachineReference::parse(bare) {
        MachineReference::Name(_) => {}
        id => return Ok((id, decorations)),
    }
    if let Some(id) = id_in_address(bare) {
        decorations.put_off(Decoration::Address);
        return Ok((MachineReference::Id(id), decorations));
    }
    refuse_damage(bare)?;
    let name = bare_name(bare, &mut decorations);
    check_name(name)?;
    Ok((MachineReference::Name(name.into()), decorations))
}

/// The ids that stand anywhere in a text, also with something behind a hyphen that was put on (`ID-old`).
pub(in crate::input) fn ids_in(text: &str) -> impl Iterator<Item = MachineReference> {
    text.split(|it: char| !it.is_ascii_alphanumeric() && it != '-').flat_map(|word| {
        let device = EntraDeviceId::parse(word).map(MachineReference::Entra);
        let machines = word.split('-').filter_map(MachineId::from_hexadecimal).map(MachineReference::Id);
        device.into_iter().chain(machines)
    })
}

/// Whether the id of a machine or of a device stands anywhere in a text.
pub(in crate::input) fn holds_id(text: &str) -> bool {
    ids_in(text).next().is_some()
}

/// The text without what may stand around any machine, id or name.
fn without_decorations(cell: &str) -> (&str, Decorations) {
    const QUOTES: [(char, char); 9] =
        [('"', '"'), ('\'', '\''), ('“', '”'), ('”', '”'), ('„', '“'), ('„', '”'), ('‘', '’'), ('’', '’'), ('«', '»')];
    let mut decorations = Decorations::default();
    let mut text = cell;
    loop {
        let trimmed = text.trim_matches(|it: char| it.is_whitespace() || is_invisible(it));
        let (decoration, inner) = if trimmed.len() < text.len() {
            (Decoration::Invisible, trimmed)
        } else if let Some(inner) = between(text.strip_prefix('=').unwrap_or_default(), '"', '"') {
            (Decoration::Formula, inner)
        } else if let Some(inner) = text.strip_prefix('=').filter(|inner| is_id(inner)) {
            // Whatever a spreadsheet makes of such a formula, the file can mean nothing else.
            (Decoration::Formula, inner)
        } else if let Some(inner) = QUOTES.iter().find_map(|(open, close)| between(text, *open, *close)) {
            (Decoration::QuotationMarks, inner)
        } else if let Some(inner) = text.strip_prefix(['\'', '’', '‘']) {
            (Decoration::Apostrophe, inner)
        } else if let Some(inner) = in_brackets(text) {
            (Decoration::Brackets, inner)
        } else {
            return (text, decorations);
        };
        decorations.put_off(decoration);
        text = inner;
    }
}

fn between(text: &str, open: char, close: char) -> Option<&str> {
    text.strip_prefix(open)?.strip_suffix(close)
}

/// Braces stand around whatever programs write so; other brackets are taken off an id only, for a name may be a remark.
fn in_brackets(text: &str) -> Option<&str> {
    let others = [('[', ']'), ('(', ')'), ('<', '>')];
    between(text, '{', '}')
        .or_else(|| others.iter().find_map(|(open, close)| between(text, *open, *close).filter(|inner| is_id(inner))))
}

fn is_id(text: &str) -> bool {
    !matches!(MachineReference::parse(text.trim()), MachineReference::Name(_))
}

/// The machine whose page in the portal, or whose resource in the API, has this address.
fn id_in_address(text: &str) -> Option<MachineId> {
    const HOSTS: [&str; 4] = ["microsoft.com", "microsoft.us", "securitycenter.windows.com", "windows.us"];
    let address = text.split_once("://").map_or(text, |(_scheme, address)| address);
    let address = address.split(['?', '#']).next().unwrap_or_default();
    let mut parts = address.split('/');
    let host = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_microsofts = HOSTS.iter().any(|known| host == *known || host.ends_with(&format!(".{known}")));
    let path: Vec<&str> = parts.collect();
    let is_machine = path
        .iter()
        .any(|part| ["machines", "machine", "devices", "device"].iter().any(|it| it.eq_ignore_ascii_case(part)));
    let mut ids = path.iter().filter_map(|part| MachineId::from_hexadecimal(part));
    let id = ids.next().filter(|_| is_microsofts && is_machine)?;
    ids.next().is_none().then_some(id)
}

/// What was an id once, or never was the name of one machine.
fn refuse_damage(text: &str) -> Result<(), ProblemKind> {
    let found = || Excerpt::new(text);
    if is_spreadsheet_error(text) || stands_for_nothing(text) {
        return Err(ProblemKind::MachinePlaceholder { found: found() });
    }
    let is_separator = |it: char| matches!(it, ';' | ',' | '|' | '\n' | '\r');
    let is_several = text.split(is_separator).filter(|part| !part.trim().is_empty()).count() > 1;
    if is_number_of_spreadsheet(text) {
        return Err(ProblemKind::MachineNumber { found: found() });
    }
    let control = text.chars().find(|it| it.is_control() && !matches!(it, '\n' | '\r'));
    if let Some(character) = control {
        return Err(ProblemKind::MachineControlCharacter { code_point: u32::from(character) });
    }
    let ids =
        text.split(|it: char| !it.is_ascii_alphanumeric()).filter(|word| MachineId::from_hexadecimal(word).is_some());
    let ids = ids.count();
    if ids > 1 || (is_several && !text.contains("://")) {
        return Err(ProblemKind::SeveralMachines { found: found() });
    }
    if ids == 1 {
        return Err(ProblemKind::MachineWithMore { found: found() });
    }
    let between = |it: char| it.is_whitespace() || is_invisible(it) || it == '-';
    if text.chars().all(|it| it.is_ascii_hexdigit() || between(it)) {
        let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
        // Ids without anything between them.
        if digits > ID_DIGITS && digits % ID_DIGITS == 0 {
            return Err(ProblemKind::SeveralMachines { found: found() });
        }
        if DAMAGED_DIGITS.contains(&digits) {
            return Err(ProblemKind::DamagedId { found: found(), digits });
        }
    }
    if is_address(text) {
        return Err(ProblemKind::MachineAddress { found: found() });
    }
    if text.contains("://") {
        return Err(ProblemKind::MachineWithMore { found: found() });
    }
    Ok(())
}

/// `5.5E+39`, `5,5E+39`, `1E+39`: what a spreadsheet makes of an id that looks like a number.
fn is_number_of_spreadsheet(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_signed = exponent.starts_with(['+', '-']);
    let (whole, fraction) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, "0"));
    let is_marked = is_signed || whole.len() < mantissa.len();
    is_marked && digits(exponent.trim_start_matches(['+', '-'])) && digits(whole) && digits(fraction)
}

/// An IP address, also with a port or the length of its network.
fn is_address(text: &str) -> bool {
    let bare = text.split('/').next().unwrap_or_default();
    let with_port =
        bare.rsplit_once(':').filter(|(address, _)| address.contains('.')).map_or(bare, |(address, _)| address);
    with_port.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

/// The host without the domain, the backslashes and the `$` that Windows writes around it.
fn bare_name<'t>(text: &'t str, decorations: &mut Decorations) -> &'t str {
    let mut name = text;
    let unc = name.strip_prefix("\\\\").filter(|rest| !rest.contains('\\') && !rest.is_empty());
    if let Some(host) = unc {
        decorations.put_off(Decoration::Backslashes);
        name = host;
    } else {
        let parts: Vec<&str> = name.split('\\').filter(|part| !part.is_empty()).collect();
        if let ([_domain, host], false) = (parts.as_slice(), name.starts_with('\\')) {
            decorations.put_off(Decoration::Domain);
            name = host;
        }
    }
    for (decoration, ending) in [(Decoration::Dollar, '$'), (Decoration::FinalDot, '.')] {
        if let Some(rest) = name.strip_suffix(ending).filter(|rest| !rest.is_empty()) {
            decorations.put_off(decoration);
            name = rest;
        }
    }
    name
}

fn check_name(name: &str) -> Result<(), ProblemKind> {
    // Bytes first: counting characters takes time, and nearly every name has fewer bytes than that.
    if name.len() > MACHINE_MAXIMUM_CHARACTERS {
        let characters = name.chars().count();
        if characters > MACHINE_MAXIMUM_CHARACTERS {
            return Err(ProblemKind::MachineTooLong { characters });
        }
    }
    match name.chars().find(|character| character.is_control()) {
        Some(character) => Err(ProblemKind::MachineControlCharacter { code_point: u32::from(character) }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
