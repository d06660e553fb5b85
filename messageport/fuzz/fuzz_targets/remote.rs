//! Something that pretends to be a port, against a remote.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tests::hostile::Targets;

thread_local! {
    static TARGETS: Targets = Targets::new();
}

fuzz_target!(|script: &[u8]| TARGETS.with(|targets| targets.attack_remote(script)));
