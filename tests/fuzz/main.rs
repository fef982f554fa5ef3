//! A fuzzer of whatever reads what comes from outside. `FUZZ_TARGET` names the target; everything else on the command line
//! is for libFuzzer.
#![no_main]

use std::sync::OnceLock;

use tagfleet::fuzzing::{Target, target};

static TARGET: OnceLock<Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        let target = target(&name).unwrap_or_else(|| panic!("there is no target {name}"));
        TARGET.get_or_init(|| target);
    },
    |data: &[u8]| TARGET.get().expect("chosen at the start")(data)
);
