//! `semivq bench`
use clap::Args;
use semivq::Result;
use std::process::ExitCode;
#[derive(Args)]
pub struct BenchArgs { #[arg(long)] json: bool }
pub async fn run(device: &super::DeviceArgs, args: &BenchArgs) -> Result<ExitCode> { let _ = (device, args.json); Ok(ExitCode::SUCCESS) }
