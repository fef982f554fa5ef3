//! Draws what stands on a command line: changes that no file asks for, and options.

use super::{Drawing, TAGS, VALUES};
use crate::run::histories::history::{Bound, Choice, Deed, Options, Order, Retag};

impl Drawing {
    /// Changes that stand on the command line; often those that stood there before.
    pub(super) fn order(&mut self) -> Deed {
        if let Some(deed) = self.ordered.filter(|_| self.random.bool()) {
            return deed;
        }
        let [old, new] = [self.of(&TAGS), self.of(&TAGS)];
        let deed = match self.random.u32(0..6) {
            0 | 1 if old != new => Deed::Retag(Retag { old, new: Some(new) }),
            0..3 => Deed::Retag(Retag { old, new: None }),
            kind => {
                let add = (self.random.bool()).then_some(new);
                let remove = (old != new && self.random.bool()).then_some(old);
                let needs_value = add.is_none() && remove.is_none();
                let value = (needs_value || self.one_in(4)).then(|| self.of(&VALUES));
                Deed::Order(Order { file: (kind < 4).then_some(0), add, remove, value })
            }
        };
        self.ordered = Some(deed);
        deed
    }

    /// Options for a command: machines are chosen, and guards count them, only where the list is read.
    pub(super) fn options(&mut self, deed: Deed) -> Options {
        let options = self.options_of_any();
        let choice = match deed {
            Deed::Apply(_) | Deed::Verify(_) | Deed::Order(_) | Deed::Retag(_)
                if self.one_in(if deed.orders().is_some() { 2 } else { 8 }) =>
            {
                Some(self.choice(deed))
            }
            _ => None,
        };
        let is_guarded = matches!(deed, Deed::Apply(_) | Deed::Order(_) | Deed::Retag(_));
        let mut guard = || {
            let bound = Bound { percent: self.of(&[0, 20, 50]), count: self.random.u32(0..4) };
            (is_guarded && self.one_in(5)).then_some(bound)
        };
        let (guard_removals, guard_changes) = (guard(), guard());
        let needs_list = guard_removals.or(guard_changes).is_some()
            || choice.is_some_and(|choice| choice != Choice::Odd)
            || (deed.orders().is_some() && deed.file().is_none())
            || deed.rules().is_some();
        let no_inventory = options.no_inventory && !needs_list;
        Options { no_inventory, choice, guard_removals, guard_changes, ..options }
    }

    fn choice(&mut self, deed: Deed) -> Choice {
        let tag = self.of(&TAGS);
        match self.random.u32(0..4) {
            0 => Choice::Tagged(tag),
            1 => Choice::Untagged(tag),
            2 if deed.file().is_some() => Choice::Odd,
            _ => Choice::Valued(self.of(&VALUES)),
        }
    }

    fn options_of_any(&mut self) -> Options {
        Options {
            fresh: self.one_in(10),
            limit: self.one_in(8).then(|| self.random.u32(0..6)),
            unlisted_fail: self.one_in(8),
            no_bulk: self.one_in(8),
            no_inventory: self.one_in(20),
            max_changes: self.one_in(15).then(|| self.random.u32(0..8)),
            deadline: self.one_in(10).then(|| self.seconds(600)),
            skip_invalid: self.random.bool(),
            lock_wait: self.one_in(3).then(|| self.seconds(300)),
            answered_after: self.one_in(10).then(|| self.seconds(1500)),
            ..Options::default()
        }
    }
}
