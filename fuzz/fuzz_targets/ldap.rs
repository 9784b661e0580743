#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| untether_ldap::hostile::check(data));
