//! Data sets of every size train: resident on the device or streamed to it, from memory, files or elsewhere, with the
//! same bits.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::sync::{Arc, Mutex};

use libtest_mimic::Failed;
use semivq::data::{Dataset, Images, Reading, Source, Subset, read_by, synthetic};
use semivq::gpu::Gpu;
use semivq::train::{Feeding, Method, Session, StepMetrics, TrainOptions};
use support::command::ensure;
use support::session::{Test, checkpoint, run, run_all};

/// Images of which each is a function of its number, and the numbers that were read.
#[derive(Debug)]
struct Numbered {
    shape: [usize; 3],
    len: usize,
    read: Mutex<Vec<u32>>,
}

impl Numbered {
    fn new(shape: [usize; 3], len: usize) -> Arc<Self> {
        let read = Mutex::default();
        Arc::new(Self { shape, len, read })
    }
}

impl Source for Numbered {
    fn shape(&self) -> [usize; 3] {
        self.shape
    }

    fn len(&self) -> usize {
        self.len
    }

    fn read(&self, at: &[u32], out: &mut [u8]) -> semivq::Result<()> {
        self.read.lock().unwrap().extend(at);
        for (i, image) in at.iter().zip(out.chunks_mut(self.stride())) {
            let mut state = i.wrapping_mul(0x9e37_79b9) | 1;
            for pixel in image {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                *pixel = (state >> 24) as u8;
            }
        }
        Ok(())
    }
}

/// 26 images of which a step takes 8: three steps an epoch, and two images are left over.
fn glyphs() -> Dataset {
    let all = synthetic::glyphs(5);
    let first = |source, count| Subset::new(source, (0..count).collect()).unwrap();
    Dataset::new("glyphs", first(all.train, 26), first(all.test, 4))
}

fn options(method: Method, batch: usize) -> TrainOptions {
    let options = TrainOptions {
        batch,
        lr: 1e-3,
        ..TrainOptions::default()
    };
    options
        .with_quantizer(|vq| vq.num_codes = 24)
        .and_then(|options| options.with_method(method))
        .unwrap()
}

fn session(
    gpu: &Arc<Gpu>,
    options: &TrainOptions,
    data: impl Into<Arc<Dataset>>,
    feeding: Feeding,
) -> semivq::Result<Session> {
    let data = data.into();
    let model = options.build_model(data.shape()[0])?;
    Session::with_feeding(Arc::clone(gpu), model, data, options.session(), feeding)
}

/// The same with several steps in a submission.
fn run_together(session: &mut Session, steps: u32) -> semivq::Result<Vec<StepMetrics>> {
    pollster::block_on(async {
        let mut all = Vec::new();
        session.steps(steps, |metrics| all.push(metrics)).await?;
        while let Some(metrics) = session.next_metrics().await? {
            all.push(metrics);
        }
        Ok(all)
    })
}

/// Metrics and checkpoints across ends of epochs, a resume in the middle of one, in the other way, and a change of
/// options.
fn streamed_is_resident(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for (i, method) in Method::ALL.into_iter().enumerate() {
        let mut options = options(method, 8);
        let starts = |options: &TrainOptions| {
            let clustered = options.clone().with_quantizer(|vq| {
                vq.codebook_init = semivq::quant::codebook::CodebookInit::Kmeans;
            });
            clustered.ok()
        };
        // Every other one that can starts from k-means.
        if let Some(clustered) = starts(&options).filter(|_| i % 2 == 0) {
            options = clustered;
        }
        let changed = TrainOptions {
            lr: 2e-3,
            ..options.clone()
        };
        let once = |first: Feeding, then: Feeding| -> Result<_, Failed> {
            let mut begun = session(&gpu, &options, glyphs(), first)?;
            ensure(
                begun.streams() == (first == Feeding::Streamed),
                "it is fed in another way",
            )?;
            let run = match first {
                Feeding::Streamed => run_together,
                _ => run,
            };
            let mut metrics = run(&mut begun, 5)?;
            let middle = checkpoint(&begun)?;
            let mut resumed = session(&gpu, &options, glyphs(), then)?;
            resumed.restore(&middle)?;
            metrics.extend(run(&mut resumed, 3)?);
            let model = changed.build_model(1)?;
            pollster::block_on(resumed.reconfigure(model, changed.session()))?;
            metrics.extend(run(&mut resumed, 4)?);
            Ok((metrics, middle, checkpoint(&resumed)?))
        };
        let resident = once(Feeding::Resident, Feeding::Resident)?;
        ensure(resident.0.len() == 12, "a step did not report")?;
        for (first, then) in [
            (Feeding::Streamed, Feeding::Streamed),
            (Feeding::Auto, Feeding::Streamed),
        ] {
            ensure(
                once(first, then)? == resident,
                format!("{method:?}: {first:?} and then {then:?} is another run"),
            )?;
        }
    }
    Ok(())
}

/// With parameters that stand still the loss of a batch of one tells which image it was.
fn each_image_once_an_epoch(gpu: Arc<Gpu>) -> Result<(), Failed> {
    const COUNT: usize = 12;
    let options = TrainOptions {
        lr: 1e-30,
        ..options(Method::Vq, 1)
    };
    let mut all = Vec::new();
    for feeding in [Feeding::Resident, Feeding::Streamed] {
        let images = Numbered::new([1, 8, 8], COUNT);
        let data = Dataset::new("numbers", Arc::clone(&images), Numbered::new([1, 8, 8], 1));
        let mut session = session(&gpu, &options, data, feeding)?;
        let metrics = run(&mut session, 2 * COUNT as u32)?;
        let losses: Vec<u32> = metrics.iter().map(|m| m.rec_loss.to_bits()).collect();
        let (first, second) = losses.split_at(COUNT);
        ensure(first != second, "two epochs have one order")?;
        let sorted = [first, second].map(|epoch| {
            let mut epoch = epoch.to_vec();
            epoch.sort_unstable();
            epoch.dedup();
            epoch
        });
        ensure(
            sorted[0].len() == COUNT && sorted[0] == sorted[1],
            format!("{feeding:?}: an image was taken twice"),
        )?;
        let read = images.read.lock().unwrap().clone();
        let epochs = match feeding {
            Feeding::Streamed => 2,
            _ => 1,
        };
        ensure(read.len() == epochs * COUNT, format!("{read:?} was read"))?;
        for epoch in read.chunks(COUNT) {
            let mut epoch = epoch.to_vec();
            epoch.sort_unstable();
            ensure(
                epoch.iter().copied().eq(0..COUNT as u32),
                format!("{epoch:?} was read"),
            )?;
        }
        all.push(losses);
    }
    ensure(all[0] == all[1], "the orders differ")
}

/// More bytes than a buffer may have: several of them, and still the same run.
fn large_sets_train(gpu: Arc<Gpu>) -> Result<(), Failed> {
    for (shape, count) in [([1, 28, 28], 240_000), ([3, 32, 32], 50_000)] {
        let options = options(Method::Vq, 16);
        let once = |feeding| -> Result<_, Failed> {
            let data = Dataset::new("many", Numbered::new(shape, count), Numbered::new(shape, 1));
            let mut session = session(&gpu, &options, data, feeding)?;
            let metrics = run(&mut session, 3)?;
            Ok((session.streams(), metrics, checkpoint(&session)?))
        };
        let (streams, metrics, bytes) = once(Feeding::Auto)?;
        ensure(!streams, "what fits on the device is streamed")?;
        ensure(
            (true, metrics, bytes) == once(Feeding::Streamed)?,
            format!("{count} of {shape:?}: streamed is another run"),
        )?;
    }
    Ok(())
}

/// Files in place train as they do from memory, and evaluate; one that is cut short ends the run by its name.
fn files_train_in_place(gpu: Arc<Gpu>) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    support::command::write_data(folder.path(), 40);
    let options = options(Method::Vq, 8);
    let once = |reading, feeding| -> Result<_, Failed> {
        let data = read_by(folder.path(), 0, reading)?;
        let mut session = session(&gpu, &options, data, feeding)?;
        let metrics = run(&mut session, 7)?;
        let test = pollster::block_on(session.evaluate(&session.data().test))?;
        Ok((metrics, test, checkpoint(&session)?))
    };
    let memory = once(Reading::Memory, Feeding::Resident)?;
    for feeding in [Feeding::Resident, Feeding::Streamed] {
        ensure(
            once(Reading::InPlace, feeding)? == memory,
            format!("{feeding:?} from files is another run"),
        )?;
    }
    let data = read_by(folder.path(), 0, Reading::InPlace)?;
    let mut session = session(&gpu, &options, data, Feeding::Streamed)?;
    run(&mut session, 2)?;
    let path = folder.path().join("train-images-idx3-ubyte");
    std::fs::File::options()
        .write(true)
        .open(&path)?
        .set_len(1000)?;
    let error = run(&mut session, 1)
        .err()
        .ok_or("half a file was trained on")?;
    let text = error.to_string();
    ensure(
        text.contains("train-images-idx3-ubyte: image ") && text.contains("is 1000 now"),
        text,
    )
}

/// Set in the process that [`memory_does_not_grow`] starts: the folder of its data.
const SPARSE: &str = "SEMIVQ_TEST_SPARSE";

/// A file of 4 GiB trains in less than one: a process of its own does, and says how much it took.
fn memory_does_not_grow(_: Arc<Gpu>) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    support::command::write_data(folder.path(), 1);
    let count = (4_u64 << 30) / (28 * 28);
    for (part, count) in [("train", count), ("t10k", 3)] {
        let path = folder.path().join(format!("{part}-images-idx3-ubyte"));
        let sizes = [count as u32, 28, 28];
        std::fs::write(&path, support::command::idx(3, &sizes, std::iter::empty()))?;
        let file = std::fs::File::options().write(true).open(&path)?;
        file.set_len(16 + count * 28 * 28)?;
    }
    std::fs::remove_file(folder.path().join("train-labels-idx1-ubyte"))?;
    let mut command = std::process::Command::new(std::env::current_exe()?);
    let output = command.env(SPARSE, folder.path()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    ensure(output.status.success(), format!("{said}{wrong}"))?;
    let peak = said.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.trim().strip_suffix(" kB"));
    let peak: u64 = peak.ok_or_else(|| said.to_string())?.trim().parse()?;
    println!("peak of {} MiB", peak >> 10);
    ensure(peak < 1 << 20, format!("{peak} KiB of memory"))
}

/// A few steps on the images in `folder`, then what the system says of this process.
fn train_sparse(gpu: &Arc<Gpu>, folder: &Path) -> Result<(), Failed> {
    let data = read_by(folder, 0, Reading::Auto)?;
    ensure(data.train.read_range(0..1)?.len() == 784, "no image")?;
    let mut session = session(gpu, &options(Method::Vq, 8), data, Feeding::Auto)?;
    ensure(session.streams(), "4 GiB are resident")?;
    run(&mut session, 3)?;
    print!("{}", std::fs::read_to_string("/proc/self/status")?);
    Ok(())
}

/// A source that fails names itself, at the beginning as in a step, and nothing is trained on.
fn a_source_that_fails_is_an_error(gpu: Arc<Gpu>) -> Result<(), Failed> {
    #[derive(Debug)]
    struct Broken(Images);
    impl Source for Broken {
        fn shape(&self) -> [usize; 3] {
            self.0.shape
        }
        fn len(&self) -> usize {
            self.0.len()
        }
        fn read(&self, at: &[u32], out: &mut [u8]) -> semivq::Result<()> {
            if at.contains(&3) {
                return Err(semivq::Error::file("the sky", "fell down"));
            }
            self.0.read(at, out)
        }
    }
    let images = |count: usize| Images {
        shape: [1, 8, 8],
        pixels: (0..count * 64).map(|i| (i / 3 * 37) as u8).collect(),
        labels: None,
    };
    let data = Arc::new(Dataset::new("sky", Broken(images(8)), images(2)));
    let options = options(Method::Vq, 2);
    let whole = session(&gpu, &options, Arc::clone(&data), Feeding::Resident);
    let text = whole.err().ok_or("accepted")?.to_string();
    ensure(text == "the sky: fell down", text)?;
    let mut streamed = session(&gpu, &options, data, Feeding::Streamed)?;
    // As often as it is tried, and the steps before report.
    let mut made = 0;
    for _ in 0..5 {
        let text = loop {
            match pollster::block_on(streamed.step()) {
                Ok(metrics) => made += usize::from(metrics.is_some()),
                Err(error) => break error.to_string(),
            }
        };
        ensure(text == "the sky: fell down", text)?;
    }
    made += run(&mut streamed, 0)?.len();
    ensure(
        made < 4 && made == streamed.steps_done() as usize,
        format!("{made} of {} steps have reported", streamed.steps_done()),
    )
}

fn main() {
    let gpu = support::gpu();
    if let Some(folder) = std::env::var_os(SPARSE) {
        train_sparse(&Arc::new(gpu.unwrap()), Path::new(&folder)).unwrap();
        return;
    }
    let tests: &[(&str, Test)] = &[
        ("streamed is resident, bit for bit", streamed_is_resident),
        ("each image once an epoch", each_image_once_an_epoch),
        ("large sets train", large_sets_train),
        ("files train in place", files_train_in_place),
        ("memory does not grow with the data", memory_does_not_grow),
        (
            "a source that fails is an error",
            a_source_that_fails_is_an_error,
        ),
    ];
    run_all(gpu, tests)
}
