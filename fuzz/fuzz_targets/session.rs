#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pve_storage_truenas_fuzz::session(data));
