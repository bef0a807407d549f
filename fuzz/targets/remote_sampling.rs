#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| meshspan_fuzz::target("remote_sampling")(input));
