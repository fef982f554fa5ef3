//! What was looked up once and holds throughout a transaction.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::HashMap;

/// What holds throughout a transaction, by its type and what it is about.
#[derive(Default)]
pub(super) struct Known(RefCell<HashMap<(TypeId, i64), Box<dyn Any>>>);

impl Known {
    pub(super) fn recall<Answer: Clone + 'static>(&self, about: i64) -> Option<Answer> {
        self.0.borrow().get(&(TypeId::of::<Answer>(), about))?.downcast_ref().cloned()
    }

    pub(super) fn remember<Answer: 'static>(&self, about: i64, answer: Answer) {
        self.0.borrow_mut().insert((TypeId::of::<Answer>(), about), Box::new(answer));
    }

    pub(super) fn forget<Answer: 'static>(&self) {
        self.0.borrow_mut().retain(|(of, _), _| *of != TypeId::of::<Answer>());
    }
}
