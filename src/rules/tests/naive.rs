//! Rules as one would work them out on paper: machine by machine, tag by tag, without a thought for speed.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// What a rule of these tests asks: whether the field `osPlatform` is `x`, or that or the name begins with `a`, and so on.
#[derive(Clone, Copy, Debug)]
enum Question {
    Always,
    Platform,
    NotPlatform,
    PlatformOrName,
    PlatformAndName,
}

#[derive(Clone, Copy, Debug)]
struct SmallRule {
    question: Question,
    tag: u8,
    set: Option<u8>,
    reports: bool,
}

#[derive(Clone, Debug)]
struct SmallMachine {
    platform: Option<bool>,
    is_a: bool,
    tags: BTreeSet<u8>,
}

impl Question {
    const ALL: [Self; 5] =
        [Self::Always, Self::Platform, Self::NotPlatform, Self::PlatformOrName, Self::PlatformAndName];

    fn text(self) -> &'static str {
        match self {
            Self::Always => "true",
            Self::Platform => "osPlatform == 'x'",
            Self::NotPlatform => "not(osPlatform == 'x')",
            Self::PlatformOrName => "osPlatform == 'x' or computerDnsName startswith 'a'",
            Self::PlatformAndName => "osPlatform == 'x' and computerDnsName startswith 'a'",
        }
    }

    fn answer(self, machine: &SmallMachine) -> Option<bool> {
        match self {
            Self::Always => Some(true),
            Self::NotPlatform => machine.platform.map(|is_x| !is_x),
            Self::PlatformOrName if machine.is_a => Some(true),
            Self::PlatformAndName if !machine.is_a => Some(false),
            Self::Platform | Self::PlatformOrName | Self::PlatformAndName => machine.platform,
        }
    }
}

/// The tags that a machine gets, and those that it loses.
fn on_paper(rules: &[SmallRule], machine: &SmallMachine) -> (BTreeSet<u8>, BTreeSet<u8>) {
    let (mut given, mut kept) = (BTreeSet::new(), BTreeSet::new());
    for (number, rule) in rules.iter().enumerate() {
        let earlier = rules[..number].iter().filter(|other| rule.set.is_some() && other.set == rule.set);
        // The first of the set that does not say no speaks for all behind it.
        let spoken = earlier.clone().find(|other| other.question.answer(machine) != Some(false));
        match spoken {
            Some(first) if first.question.answer(machine).is_none() || first.reports => {
                kept.insert(rule.tag);
            }
            Some(_) => {}
            None => match rule.question.answer(machine) {
                Some(true) if rule.reports => {
                    kept.insert(rule.tag);
                }
                Some(true) => {
                    given.insert(rule.tag);
                }
                Some(false) => {}
                None => {
                    kept.insert(rule.tag);
                }
            },
        }
    }
    let lost = machine.tags.iter().copied().filter(|tag| !given.contains(tag) && !kept.contains(tag)).collect();
    (given, lost)
}

fn rule() -> impl Strategy<Value = SmallRule> {
    let question = (0..Question::ALL.len()).prop_map(|number| Question::ALL[number]);
    (question, 0_u8..4, proptest::option::of(0_u8..2), any::<bool>())
        .prop_map(|(question, tag, set, reports)| SmallRule { question, tag, set, reports })
}

fn small_machine() -> impl Strategy<Value = SmallMachine> {
    (any::<Option<bool>>(), any::<bool>(), proptest::collection::btree_set(0_u8..4, 0..4))
        .prop_map(|(platform, is_a, tags)| SmallMachine { platform, is_a, tags })
}

proptest! {
    #[test]
    fn rules_come_to_what_they_do_on_paper(
        rules in proptest::collection::vec(rule(), 0..6),
        machines in proptest::collection::vec(small_machine(), 1..5),
    ) {
        let mut text = HEAD.to_owned();
        for (number, rule) in rules.iter().enumerate() {
            let set = rule.set.map(|set| format!("one-of = 's{set}'\n")).unwrap_or_default();
            let mode = if rule.reports { "mode = 'report'\n" } else { "" };
            let (question, tag) = (rule.question.text(), rule.tag);
            let _infallible = writeln!(text, "[[rule]]\nname = 'r{number}'\nwhere = \"{question}\"\ntag = 'TIER-{tag}'\n{set}{mode}");
        }
        let mut declaration = declaration(&text).expect("rules");
        let mut expected = BTreeSet::new();
        let listed = Listed::of(machines.iter().enumerate().map(|(number, small)| {
            let name = format!("{}{number}", if small.is_a { "a" } else { "b" });
            let tags: Vec<String> = small.tags.iter().map(|tag| format!("TIER-{tag}")).collect();
            let (given, lost) = on_paper(&rules, small);
            expected.extend(given.iter().map(|tag| format!("{name}: Add tag \"TIER-{tag}\"")));
            expected.extend(lost.iter().map(|tag| format!("{name}: Remove tag \"TIER-{tag}\"")));
            MachineRecord {
                os_platform: small.platform.map(|is_x| if is_x { "x".into() } else { "y".into() }),
                ..machine(&name, &tags.iter().map(String::as_str).collect::<Vec<_>>())
            }
        }));
        let told = listed.wishes(&mut declaration, &BTreeMap::new()).expect("no values");
        let told: BTreeSet<String> =
            told.iter().map(|wish| wish.split_once(" by ").map_or(wish.clone(), |(wish, _)| wish.to_owned())).collect();
        prop_assert_eq!(told, expected);
    }
}
