// The grid of a dispatch is folded into x and y, so that it may exceed 65,535 workgroups.

fn linear_group(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.y * groups.x + group.x;
}
