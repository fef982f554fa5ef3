//! What a fuzzer throws bytes at: one function for each kind of bytes that come from outside, with what must hold whatever
//! they are. Compiled for tests and for fuzzers only; the tests replay every input that was ever worth keeping.
//!
//! A target panics where an invariant does not hold. What surprises: a target is handed one string of bytes, so that one
//! which takes several values splits it, and the first bytes choose among variants.

#![expect(clippy::expect_used, clippy::panic, reason = "a panic is how a target reports")]

mod answers;
mod arguments;
mod filters;
mod input;
mod masking;
mod results;
mod rules;
mod state;

/// A function that tries something with any bytes.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus.
pub const TARGETS: [(&str, Target); 10] = [
    ("answers", answers::answers),
    ("arguments", arguments::arguments),
    ("filters", filters::filters),
    ("input", input::input),
    ("masking", masking::masking),
    ("results", results::results),
    ("rules", rules::rules),
    ("sign-in", crate::api::sign_in::fuzzing::sign_in),
    ("state", state::damaged_file),
    ("state-values", state::damaged_values),
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find_map(|(known, target)| (known == name).then_some(target))
}

/// Takes bytes off the front of what a fuzzer made.
struct Choices<'d>(&'d [u8]);

impl Choices<'_> {
    /// The next byte; zero when there is none.
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// The next number of so many bytes.
    fn number(&mut self, bytes: usize) -> u64 {
        (0..bytes).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// One of these.
    fn of<T: Copy, const COUNT: usize>(&mut self, all: [T; COUNT]) -> T {
        let chosen = usize::from(self.byte()) % COUNT;
        all.into_iter().nth(chosen).expect("within the list")
    }
}

/// Nothing that is said may drive a terminal.
fn assert_harmless(text: &str) {
    let is_harmful = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    assert!(!text.contains(is_harmful), "a control character in {text:?}");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    /// How many inputs one thread takes.
    const AFTER_ONE_ANOTHER: usize = 4;

    fn inputs(kind: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(kind)
    }

    fn entries(directory: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(directory).into_iter().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        paths
    }

    fn replay(kind: &str, target: &str) -> usize {
        let run = super::target(target).expect("a target");
        let paths = entries(&inputs(kind).join(target));
        // Side by side, since whatever opens a state waits most of the time.
        std::thread::scope(|scope| {
            for some in paths.chunks(AFTER_ONE_ANOTHER) {
                scope.spawn(move || {
                    for path in some {
                        // Shown where it panics.
                        println!("{}", path.display());
                        run(&std::fs::read(path).expect("an input"));
                    }
                });
            }
        });
        paths.len()
    }

    #[test]
    fn every_target_has_a_corpus_and_every_corpus_a_target() {
        let names = |kind: &str| -> BTreeSet<String> {
            let name = |path: PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
            entries(&inputs(kind)).into_iter().map(name).collect()
        };
        let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names("corpus"), targets);
        assert!(names("found").is_subset(&targets));
    }

    #[test]
    fn what_fuzzing_found_once_is_not_found_again() {
        for (name, _) in TARGETS {
            replay("found", name);
        }
    }

    #[test]
    fn the_corpora_hold() {
        for (name, _) in TARGETS {
            assert!(replay("corpus", name) > 0, "{name} begins with something");
        }
    }
}
