//! A client at the door of a port that says and brings what it should not.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tests::hostile::Targets;

thread_local! {
    static TARGETS: Targets = Targets::new();
}

fuzz_target!(|script: &[u8]| TARGETS.with(|targets| targets.attack_door(script)));
