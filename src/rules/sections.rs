//! TOML taken apart by hand, so that whatever is wrong is told with its line, and a key that nobody knows with the one that
//! was probably meant.

use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;
use crate::filter::nearest;
use crate::outside::shown;

/// What is read, and what was found wrong so far.
pub(super) struct Faults<'t> {
    text: &'t str,
    found: Vec<Fault>,
}

impl<'t> Faults<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, found: Vec::new() }
    }

    /// The line of a place, from 1.
    pub(super) fn line(&self, place: &Range<usize>) -> usize {
        self.text.get(..place.start).unwrap_or(self.text).matches('\n').count() + 1
    }

    /// The lines on which the text of a string begins and ends: one of several lines may begin on the line after its
    /// quotation marks.
    pub(super) fn text_lines(&self, place: &Range<usize>) -> RangeInclusive<usize> {
        let written = self.text.get(place.clone()).unwrap_or_default();
        let inner = written.strip_prefix("'''").or_else(|| written.strip_prefix("\"\"\""));
        let begins_below = inner.is_some_and(|inner| inner.starts_with(['\n', '\r']));
        let first = self.line(place);
        first + usize::from(begins_below)..=first + written.matches('\n').count()
    }

    pub(super) fn add(&mut self, fault: Fault) {
        self.found.push(fault);
    }

    pub(super) fn at(&mut self, place: &Range<usize>, message: impl Into<String>) {
        let line = self.line(place);
        self.add(Fault::new(line, message));
    }

    /// How much was found wrong so far.
    pub(super) fn count(&self) -> usize {
        self.found.len()
    }

    /// All that is wrong, by line.
    pub(super) fn into_found(mut self) -> Vec<Fault> {
        self.found.sort_by_key(|fault| fault.line);
        self.found
    }
}

/// A table, of which each key is taken out once; what is left nobody knows.
pub(super) struct Section<'t> {
    /// What it is called in messages, `[guard]` for example.
    name: String,
    table: DeTable<'t>,
    pub(super) place: Range<usize>,
    known: Vec<&'static str>,
}

/// What a key is called, as one writes it, and what stands there.
pub(super) type Entry<'t> = Spanned<DeValue<'t>>;

impl<'t> Section<'t> {
    pub(super) fn new(name: impl Into<String>, table: DeTable<'t>, place: Range<usize>) -> Self {
        Self { name: name.into(), table, place, known: Vec::new() }
    }

    /// Whether something stands behind a key; asked before it is taken out, for what is there and of no use is told already.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// What stands behind a key.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Entry<'t>> {
        self.known.push(key);
        self.table.remove(key)
    }

    pub(super) fn text(&mut self, key: &'static str, faults: &mut Faults<'_>) -> Option<Spanned<String>> {
        let entry = self.take(key)?;
        text(entry, &self.called(key), faults)
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, key: &'static str, faults: &mut Faults<'_>) -> Vec<Spanned<String>> {
        let Some(entry) = self.take(key) else { return Vec::new() };
        let (place, called) = (entry.span(), self.called(key));
        let DeValue::Array(list) = entry.into_inner() else {
            faults.at(&place, format!("{called} needs a list of texts, as in [\"SITE-\"]"));
            return Vec::new();
        };
        list.into_iter().filter_map(|item| text(item, &called, faults)).collect()
    }

    /// A whole number from 0 to this.
    pub(super) fn number(&mut self, key: &'static str, most: u32, faults: &mut Faults<'_>) -> Option<u32> {
        let entry = self.take(key)?;
        let digits = entry.get_ref().as_integer().filter(|number| number.radix() == 10);
        let number = digits.and_then(|number| number.as_str().replace('_', "").parse::<u32>().ok());
        if let Some(number) = number.filter(|number| *number <= most) {
            return Some(number);
        }
        let called = self.called(key);
        faults.at(&entry.span(), format!("{called} needs a whole number from 0 to {most}"));
        None
    }

    /// A share such as `"90%"`.
    pub(super) fn percent(&mut self, key: &'static str, faults: &mut Faults<'_>) -> Option<u8> {
        let share = self.text(key, faults)?;
        let number = share.get_ref().strip_suffix('%').and_then(|number| number.trim().parse().ok());
        if let Some(percent) = number.filter(|percent| *percent <= 100) {
            return Some(percent);
        }
        let called = self.called(key);
        faults.at(&share.span(), format!("{called} needs a share, as in \"90%\""));
        None
    }

    /// A table within this one.
    pub(super) fn section(&mut self, key: &'static str, faults: &mut Faults<'_>) -> Option<Self> {
        let entry = self.take(key)?;
        let (place, called) = (entry.span(), self.called(key));
        table(entry, &called, place, faults)
    }

    /// The tables behind every key, with the keys; nothing here is known by its name.
    pub(super) fn sections(self, faults: &mut Faults<'_>) -> Vec<(Spanned<String>, Self)> {
        let Self { name, table: entries, .. } = self;
        let named = entries.into_iter().filter_map(|(key, entry)| {
            let key = Spanned::new(key.span(), key.into_inner().into_owned());
            let called = format!("[{name}.{}]", shown(key.get_ref()));
            let place = key.span();
            Some((key, table(entry, &called, place, faults)?))
        });
        named.collect()
    }

    /// What a key is called in messages.
    fn called(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{key} of {}", self.name) }
    }

    /// Nothing may be left.
    pub(super) fn end(self, faults: &mut Faults<'_>) {
        let Self { name, table, known, .. } = self;
        for (key, _) in table {
            let place = key.span();
            let key = key.into_inner();
            let of = if name.is_empty() { String::new() } else { format!(" in {name}") };
            let fault = Fault::new(faults.line(&place), format!("unknown key \"{}\"{of}", shown(&*key)));
            let listed = || format!("the keys are {}", known.join(", "));
            let hint = nearest(&key, known.iter().copied());
            faults.add(fault.hint(hint.map_or_else(listed, |nearest| format!("did you mean {nearest}?"))));
        }
    }
}

/// The text of a value.
pub(super) fn text(entry: Entry<'_>, called: &str, faults: &mut Faults<'_>) -> Option<Spanned<String>> {
    let place = entry.span();
    if let DeValue::String(text) = entry.into_inner() {
        return Some(Spanned::new(place, text.into_owned()));
    }
    faults.at(&place, format!("{called} needs a text in quotation marks"));
    None
}

/// The table of a value.
pub(super) fn table<'t>(
    entry: Entry<'t>,
    called: &str,
    place: Range<usize>,
    faults: &mut Faults<'_>,
) -> Option<Section<'t>> {
    if let DeValue::Table(table) = entry.into_inner() {
        return Some(Section::new(called, table, place));
    }
    faults.at(&place, format!("{called} needs to be a table"));
    None
}
