//! A client that a port has let in, against the port.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tests::hostile::Targets;

thread_local! {
    static TARGETS: Targets = Targets::new();
}

fuzz_target!(|script: &[u8]| TARGETS.with(|targets| targets.attack_port(script)));
