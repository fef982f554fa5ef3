//! A file of rules as it stands there: understood and checked, but for the names, which are looked up once the lookups are
//! read.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use jiff::Timestamp;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::columns::FleetColumns;
use super::declaration::{Declaration, Guards, Mode, Rule, TagForm};
use super::fault::Fault;
use super::lookup::{Lookup, LookupOrder};
use super::lookup_section::lookup_orders;
use super::own::{Owned, Ownership, Placed};
use super::sections::{Faults, Section, table};
use super::template::Template;
use crate::filter::{BoundFilter, Columns, Filter, FilterError, nearest};
use crate::input::{Excerpt, TagOddity, folded};
use crate::model::{DeviceValue, Tag};
use crate::outside::shown;
use crate::plan::guard::Bound;

/// The longest name of a file, a rule or a set, in characters.
const NAME_MAXIMUM_CHARACTERS: usize = 200;
/// The form of files that is understood.
const SCHEMA: u32 = 1;

/// A file of rules whose names are not looked up yet.
#[derive(Debug)]
pub(crate) struct Draft {
    name: String,
    own: Ownership,
    scope: Option<Condition>,
    guards: Guards,
    lookups: Vec<LookupOrder>,
    rules: Vec<DraftRule>,
}

/// A filter, and the lines on which its text stands.
#[derive(Debug)]
struct Condition {
    filter: Filter,
    lines: RangeInclusive<usize>,
}

#[derive(Debug)]
struct DraftRule {
    name: String,
    line: usize,
    one_of: Option<usize>,
    condition: Condition,
    tag: Option<DraftTag>,
    tag_line: usize,
    value: Option<DeviceValue>,
    mode: Mode,
}

#[derive(Debug)]
enum DraftTag {
    Literal(Tag),
    Template(Template),
}

impl Draft {
    /// Understands a file. `now` is the time that its filters count from.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn read(text: &str, now: Timestamp) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::new(text);
        let document = match DeTable::parse(text) {
            Ok(document) => document,
            Err(error) => {
                let line = faults.line(&error.span().unwrap_or_default());
                return Err(vec![Fault::new(line, shown(&error.message().replace('\n', " ")))]);
            }
        };
        let place = document.span();
        let mut file = Section::new("", document.into_inner(), place);
        let draft = Self::of(&mut file, now, &mut faults);
        file.end(&mut faults);
        let found = faults.into_found();
        if found.is_empty() { Ok(draft) } else { Err(found) }
    }

    fn of(file: &mut Section<'_>, now: Timestamp, faults: &mut Faults<'_>) -> Self {
        let top = 0..0;
        let schema = file.take("schema");
        let is_known = schema
            .as_ref()
            .and_then(|schema| schema.get_ref().as_integer())
            .is_some_and(|schema| schema.radix() == 10 && schema.as_str() == SCHEMA.to_string());
        if !is_known {
            let place = schema.as_ref().map_or(top.clone(), Spanned::span);
            let what = if schema.is_some() { "unknown schema" } else { "schema is missing" };
            faults.at(&place, format!("{what}: write schema = {SCHEMA}"));
        }
        let name = named(file, faults).unwrap_or_default();
        // Of what is owned by an ownership in error nothing can be said.
        let is_without = !file.has("own");
        let own = match file.section("own", faults) {
            Some(own) => ownership(own, faults),
            None => is_without.then(Ownership::default),
        };
        let scope = file.section("scope", faults).and_then(|mut scope| {
            let condition = condition(&mut scope, now, faults);
            scope.end(faults);
            condition
        });
        let guards = file.section("guard", faults).map(|guard| guards(guard, faults)).unwrap_or_default();
        let lookups = file.section("lookup", faults).map(|lookups| lookup_orders(lookups, faults)).unwrap_or_default();
        let mut sets = HashMap::new();
        let mut rules: Vec<DraftRule> = Vec::new();
        for rule in rule_sections(file, faults) {
            let place = rule.place.clone();
            let Some(rule) = DraftRule::read(rule, own.as_ref(), &mut sets, now, faults) else { continue };
            if let Some(earlier) = rules.iter().find(|earlier| earlier.name == rule.name) {
                let message =
                    format!("two rules are called \"{}\", here and on line {}", shown(&rule.name), earlier.line);
                faults.at(&place, message);
            }
            rules.push(rule);
        }
        refuse_two_spellings(&rules, faults);
        Self { name, own: own.unwrap_or_default(), scope, guards, lookups, rules }
    }

    /// The lookups that it asks for.
    pub(crate) fn lookups(&self) -> &[LookupOrder] {
        &self.lookups
    }

    /// Finds what its filters and tags name, among these fields of machines and in the lookups that were read.
    ///
    /// # Errors
    /// Every name that is nobody's, or stands where it makes no sense.
    pub(crate) fn bind(self, fields: &'static [&'static str], lookups: Vec<Lookup>) -> Result<Declaration, Vec<Fault>> {
        let columns = FleetColumns::new(fields, &lookups);
        let mut faults = Vec::new();
        // What is kept of the machines' fields, and the columns that are taken as texts, by their places.
        let (mut kept, mut texts) = (BTreeSet::new(), BTreeSet::new());
        let scope = self.scope.and_then(|scope| bound(scope, &columns, &mut kept, &mut texts, &mut faults));
        let mut rules = Vec::new();
        for rule in self.rules {
            let condition = bound(rule.condition, &columns, &mut kept, &mut texts, &mut faults);
            let tag = match rule.tag {
                None => None,
                Some(DraftTag::Literal(tag)) => Some(TagForm::Literal(tag)),
                Some(DraftTag::Template(template)) => match template.bind(&columns) {
                    Ok(bound) => {
                        kept.extend(bound.columns().filter_map(|column| columns.field(column)));
                        texts.extend(bound.columns());
                        Some(TagForm::Template { prefix: template.prefix().to_owned(), template: bound })
                    }
                    Err(why) => {
                        faults.push(Fault::new(
                            rule.tag_line,
                            format!("the tag of rule \"{}\": {why}", shown(&rule.name)),
                        ));
                        None
                    }
                },
            };
            let Some(condition) = condition else { continue };
            let DraftRule { name, line, one_of, value, mode, .. } = rule;
            rules.push(Rule { name, line, one_of, condition, tag, value, mode });
        }
        faults.extend(texts.iter().filter_map(|column| columns.shown_otherwise(*column)));
        if !faults.is_empty() {
            faults.sort_by_key(|fault| fault.line);
            return Err(faults);
        }
        let texts = texts.into_iter().filter_map(|column| columns.field(column)).collect();
        let Self { name, own, guards, .. } = self;
        Ok(Declaration { name, own, scope, guards, lookups, rules, fields: kept, texts })
    }
}

impl DraftRule {
    fn read(
        mut rule: Section<'_>,
        own: Option<&Ownership>,
        sets: &mut HashMap<String, usize>,
        now: Timestamp,
        faults: &mut Faults<'_>,
    ) -> Option<Self> {
        let line = faults.line(&rule.place);
        let name = named(&mut rule, faults);
        let condition = condition(&mut rule, now, faults);
        let gives_nothing = !rule.has("tag") && !rule.has("value");
        let tag_text = rule.text("tag", faults);
        let value = rule.text("value", faults);
        let one_of = rule.text("one-of", faults).map(|set| {
            let next = sets.len();
            *sets.entry(set.into_inner()).or_insert(next)
        });
        let mode = mode(&mut rule, faults);
        let place = rule.place.clone();
        rule.end(faults);
        if gives_nothing {
            faults.at(&place, "the rule gives nothing; name a tag or a value");
        }
        let tag_line = tag_text.as_ref().map_or(line, |tag| faults.line(&tag.span()));
        let tag = tag_text.and_then(|tag| draft_tag(&tag, own, faults));
        let value = value.and_then(|value| {
            let parsed = DeviceValue::parse(value.get_ref());
            if parsed.is_none() {
                faults.at(&value.span(), "a value is Low, Normal or High");
            }
            parsed
        });
        Some(Self { name: name?, line, one_of, condition: condition?, tag, tag_line, value, mode })
    }
}

/// Refuses tags that differ only in case or width: two to the service, and hardly ever two to whoever wrote them.
fn refuse_two_spellings(rules: &[DraftRule], faults: &mut Faults<'_>) {
    let mut first: HashMap<String, (&Tag, usize)> = HashMap::new();
    for rule in rules {
        let Some(DraftTag::Literal(tag)) = &rule.tag else { continue };
        let (other, line) = *first.entry(folded(tag.as_str())).or_insert((tag, rule.tag_line));
        if other != tag {
            let (tag, other) = (Excerpt::new(tag.as_str()), Excerpt::new(other.as_str()));
            let message = format!("the tag \"{tag}\" differs only in case or width from \"{other}\" on line {line}");
            faults.add(Fault::new(rule.tag_line, message).hint("write both in the same way"));
        }
    }
}

/// The name of a file or a rule.
fn named(section: &mut Section<'_>, faults: &mut Faults<'_>) -> Option<String> {
    if !section.has("name") {
        faults.at(&section.place, "a name is missing, as in name = \"fleet-eu\"");
    }
    let name = section.text("name", faults)?;
    let text = name.get_ref().trim();
    let is_sound =
        !text.is_empty() && text.chars().count() <= NAME_MAXIMUM_CHARACTERS && !text.chars().any(char::is_control);
    if !is_sound {
        faults.at(&name.span(), "a name has 1 to 200 characters, on one line");
        return None;
    }
    Some(text.to_owned())
}

fn rule_sections<'t>(file: &mut Section<'t>, faults: &mut Faults<'_>) -> Vec<Section<'t>> {
    let Some(entry) = file.take("rule") else { return Vec::new() };
    let place = entry.span();
    let DeValue::Array(rules) = entry.into_inner() else {
        faults.at(&place, "rules are written [[rule]]");
        return Vec::new();
    };
    let sections = rules.into_iter().filter_map(|rule| {
        let place = rule.span();
        table(rule, "[[rule]]", place, faults)
    });
    sections.collect()
}

fn condition(section: &mut Section<'_>, now: Timestamp, faults: &mut Faults<'_>) -> Option<Condition> {
    if !section.has("where") {
        faults.at(&section.place, "where is missing; \"true\" means every machine");
    }
    let text = section.text("where", faults)?;
    let lines = faults.text_lines(&text.span());
    match Filter::parse(text.get_ref(), now) {
        Ok(filter) => Some(Condition { filter, lines }),
        Err(error) => {
            faults.add(filter_fault(&lines, &error));
            None
        }
    }
}

fn filter_fault(lines: &RangeInclusive<usize>, error: &FilterError) -> Fault {
    let mut message = format!("where, column {}: {}", error.column(), error.kind());
    // Of an empty one there is nothing to be seen.
    if !error.excerpt().trim_matches([' ', '\n', '^']).is_empty() {
        message.push_str("\n    ");
        message.push_str(&error.excerpt().replace('\n', "\n    "));
    }
    // A line break may also be written as an escape, and then its line is none of the file.
    let line = (lines.start() + error.line() - 1).min(*lines.end());
    Fault { line, message, hint: error.hint() }
}

fn bound(
    condition: Condition,
    columns: &FleetColumns<'_>,
    kept: &mut BTreeSet<&'static str>,
    texts: &mut BTreeSet<usize>,
    faults: &mut Vec<Fault>,
) -> Option<BoundFilter> {
    let Condition { filter, lines } = condition;
    for name in filter.names() {
        if let crate::filter::Lookup::Found(column) = columns.find(name) {
            kept.extend(columns.field(column.position));
        }
    }
    match filter.bind(columns) {
        Ok(bound) => {
            texts.extend(bound.texts());
            Some(bound)
        }
        Err(error) => {
            faults.push(filter_fault(&lines, &error));
            None
        }
    }
}

/// What a file owns; nothing where something is wrong with it.
fn ownership(mut own: Section<'_>, faults: &mut Faults<'_>) -> Option<Ownership> {
    let mut ownership = Ownership::default();
    let known_faults = faults.count();
    let prefixes = own.texts("prefixes", faults);
    let tags = own.texts("tags", faults);
    let retired = own.texts("retired", faults);
    let place = own.place.clone();
    own.end(faults);
    if prefixes.is_empty() && tags.is_empty() && retired.is_empty() && faults.count() == known_faults {
        faults.at(&place, "[own] names nothing; add prefixes, tags or retired");
    }
    for (number, entries) in [prefixes, tags, retired].into_iter().enumerate() {
        for entry in entries {
            let (text, line) = (entry.get_ref().as_str(), faults.line(&entry.span()));
            if let Err(error) = Tag::new(text) {
                faults.at(&entry.span(), format!("no tag can begin with \"{}\": {error}", Excerpt::new(text)));
                continue;
            }
            let value = match number {
                0 => Owned::Prefix(text.to_owned()),
                1 => Owned::Tag(text.to_owned()),
                _ => Owned::retired(text),
            };
            if let Some(earlier) = ownership
                .all()
                .find(|earlier| earlier.value.covers(&value) && number < 2 || value.covers(&earlier.value))
            {
                let message = format!("{value} is owned already by {} on line {}", earlier.value, earlier.line);
                faults.at(&entry.span(), message);
                continue;
            }
            let list = if number < 2 { &mut ownership.given } else { &mut ownership.retired };
            list.push(Placed { value, line });
        }
    }
    (faults.count() == known_faults).then_some(ownership)
}

fn guards(mut guard: Section<'_>, faults: &mut Faults<'_>) -> Guards {
    let default = Guards::default();
    let mut bound = |key: &'static str, default: Bound, faults: &mut Faults<'_>| {
        let Some(mut section) = guard.section(key, faults) else { return default };
        let percent = section.number("percent", 100, faults).and_then(|percent| u8::try_from(percent).ok());
        let count = section.number("count", u32::MAX, faults);
        section.end(faults);
        match default {
            Bound::Share { percent: usual_percent, count: usual_count } => {
                Bound::Share { percent: percent.unwrap_or(usual_percent), count: count.unwrap_or(usual_count) }
            }
            ceiling @ Bound::Ceiling(_) => ceiling,
        }
    };
    let removals = bound("removals", default.removals, faults);
    let changes = bound("changes", default.changes, faults);
    let machines_percent = guard.percent("machines", faults).unwrap_or(default.machines_percent);
    guard.end(faults);
    Guards { removals, changes, machines_percent }
}

fn mode(rule: &mut Section<'_>, faults: &mut Faults<'_>) -> Mode {
    const MODES: [(&str, Mode); 2] = [("apply", Mode::Apply), ("report", Mode::Report)];
    let Some(text) = rule.text("mode", faults) else { return Mode::default() };
    if let Some((_, mode)) = MODES.into_iter().find(|(name, _)| name == text.get_ref()) {
        return mode;
    }
    let near = nearest(text.get_ref(), MODES.map(|(name, _)| name));
    let line = faults.line(&text.span());
    let fault = Fault::new(line, format!("unknown mode \"{}\"", shown(text.get_ref())));
    faults.add(
        fault.hint(near.map_or("the modes are apply and report".to_owned(), |near| format!("did you mean {near}?"))),
    );
    Mode::default()
}

/// The tag of a rule: one that its file owns and that is no mishap.
fn draft_tag(text: &Spanned<String>, own: Option<&Ownership>, faults: &mut Faults<'_>) -> Option<DraftTag> {
    let (place, written) = (text.span(), text.get_ref().trim());
    let excerpt = Excerpt::new(written);
    let line = faults.line(&place);
    match Template::parse(written) {
        Err(why) => {
            faults.at(&place, format!("the tag \"{excerpt}\": {why}"));
            return None;
        }
        Ok(Some(template)) => {
            let prefix = template.prefix();
            if own.is_some_and(|own| own.is_retired(prefix)) {
                faults.at(&place, format!("the tag \"{excerpt}\" begins like one that is retired"));
            } else if own.is_some_and(|own| !own.may_give_all(prefix)) {
                let fault = Fault::new(line, format!("the tag \"{excerpt}\" does not begin with a prefix of [own]"));
                faults.add(fault.hint("add its beginning to prefixes"));
            } else {
                return Some(DraftTag::Template(template));
            }
            return None;
        }
        Ok(None) => {}
    }
    let tag = match Tag::addable(written) {
        Ok(tag) => tag,
        Err(error) => {
            faults.at(&place, error.to_string());
            return None;
        }
    };
    if let Some(oddity) = TagOddity::of(written) {
        faults.at(&place, format!("the tag \"{excerpt}\" {}", oddity.words()));
    } else if own.is_some_and(|own| own.is_retired(written)) {
        faults.at(&place, format!("the tag \"{excerpt}\" is retired"));
    } else if own.is_some_and(|own| !own.may_give(written)) {
        let fault = Fault::new(line, format!("the tag \"{excerpt}\" is not owned by this file"));
        faults.add(fault.hint("add it to tags of [own], or its beginning to prefixes"));
    } else {
        return Some(DraftTag::Literal(tag));
    }
    None
}
