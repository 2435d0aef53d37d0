//! What can be typed behind `bench`.

use clap::Args;

use super::{bytes, place, place_or_none, storeid};

pub const JSON: &str = "\
Exit status: 0 measured; 1 something is more than 1.5 times slower than the baseline, or with another warning; 2 refused, failed or interrupted.

With --json: \"verb\", \"warnings\" (a list), \"storage\", \"state\" (planned, measured or failed). When planned: \"truenas\", \
\"transport\", \"owner\" (the VMID), \"size\" in bytes, \"runs\", \"seconds\" (of each load, or null), \"earlier\" (volumes of other \
runs). When measured: \"now\" and \"baseline\" (or null; each with \"date\" in seconds since 1970, \"plugin\", \"truenas\", \"transport\", \
\"size\", \"runs\"), \"rows\" (a list, each with \"what\", \"unit\": ms, MiB/s or IOPS; \"median\", \"least\", \"most\", \"baseline\", \
\"ratio\": how many times slower than the baseline), \"saved\" (the file, or null). When it failed: \"error\", \"advice\", \"left_behind\" (a list).";

#[derive(Debug, Args)]
pub struct Bench {
    /// The storage to measure
    #[arg(value_name = "STOREID", value_parser = storeid)]
    pub storage: String,
    /// So many runs
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// Size of the volumes, like 512M or 4G
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = bytes)]
    pub size: u64,
    /// Read and write with fio too
    #[arg(long)]
    pub fio: bool,
    /// So long for each load of fio
    #[arg(long, value_name = "SECONDS", default_value_t = 10, requires = "fio", value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Compare with a saved result, by its NAME or FILE; with the last one of the storage where none is given
    #[arg(
        long,
        value_name = "NAME|FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        value_parser = place_or_none
    )]
    pub compare: Option<String>,
    /// Save the result under this NAME in /var/lib/pve-storage-truenas/bench, or in a FILE, which has a slash; otherwise
    /// under the name of the storage, where nothing is compared
    #[arg(long, value_name = "NAME|FILE", value_parser = place)]
    pub save: Option<String>,
    /// Do it
    #[arg(long)]
    pub apply: bool,
}
