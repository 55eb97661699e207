using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Hwpts;

namespace IommuFd.Grains.Objects.Ioas;

/// <summary>An IOAS in its context's table.</summary>
internal sealed class IoasEntry(ObjectId id, long serial) : ObjectEntry(id, IoasKind.Instance, serial)
{
    private List<HwptPagingEntry>? _autoHwpts;

    /// <summary>The HWPTs that attaching devices has made, oldest first. A further device takes the first that it fits.</summary>
    public IReadOnlyList<HwptPagingEntry> AutoHwpts => _autoHwpts ?? [];

    public void AddAuto(HwptPagingEntry hwpt) => (_autoHwpts ??= new(capacity: 1)).Add(hwpt);

    public void RemoveAuto(HwptPagingEntry hwpt) => _autoHwpts?.Remove(hwpt);
}
