//! Mesa's device-select layer, kept from complaining where nothing is wrong.

use std::sync::Once;

/// On a Linux machine without a desktop the layer says on standard error, at each instance that is
/// made, that it finds no Wayland socket, as if something had failed. Its off switch is the environment variable
/// `NODEVICE_SELECT`, which is set here, once, before the first instance.
///
/// The environment may only be changed while no other thread can read it, so this does nothing in a
/// process that has several threads already (then set the variable outside), nor where the user chooses
/// a device through that layer (`MESA_VK_DEVICE_SELECT`, `DRI_PRIME`). Every call of the library that
/// makes an instance begins with it.
pub fn quiet_the_driver() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        let set = |name: &str| std::env::var_os(name).is_some();
        let needed = cfg!(target_os = "linux")
            && ![
                "XDG_RUNTIME_DIR",
                "NODEVICE_SELECT",
                "MESA_VK_DEVICE_SELECT",
                "DRI_PRIME",
            ]
            .into_iter()
            .any(set);
        if needed && is_single_threaded() {
            #[allow(
                unsafe_code,
                reason = "this is the only thread, and it is not reading the environment now"
            )]
            unsafe {
                std::env::set_var("NODEVICE_SELECT", "1");
            }
        }
    });
}

/// The kernel's list of this process's threads has one line.
fn is_single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}
