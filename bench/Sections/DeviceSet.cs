using System.Globalization;
using IommuFd.Bench.Harness;
using IommuFd.Client;
using IommuFd.GrainInterfaces;

namespace IommuFd.Bench.Sections;

/// <summary>
/// A driver's devices and IOASes with a number of areas each, and the operations that the driver repeats on them. An existing domain saves
/// the next one some work, so IOASes on which HWPTs come and go have no other domain.
/// </summary>
internal sealed class DeviceSet : IAsyncDisposable
{
    public const string AttachIoasName = "attach to an IOAS, detach";
    public const string AttachHwptName = "attach to a HWPT, detach";
    public const string ReplaceHwptName = "replace a HWPT, and back";
    public const string ReplaceIoasName = "replace an IOAS, and back";

    // The start of the selftest IOMMU's aperture, in which every area must lie.
    private const ulong FirstIova = 0x100_0000;

    private static readonly ObjectId Attached = new(1);
    private static readonly ObjectId WithHwpts = new(2);
    private static readonly ObjectId Left = new(3);
    private static readonly ObjectId Right = new(4);

    private readonly FilledContext _filled;
    private readonly IommuDriver _driver;

    private DeviceSet(FilledContext filled, IommuDriver driver, int areas)
    {
        _filled = filled;
        _driver = driver;
        Areas = areas;
    }

    public int Areas { get; }

    /// <summary>Attaching a device to an IOAS, which allocates a HWPT, and detaching it, which destroys the HWPT.</summary>
    public required Load AttachIoas { get; init; }

    /// <summary>Attaching a device to a HWPT that stays, and detaching it.</summary>
    public required Load AttachHwpt { get; init; }

    /// <summary>Moving a device to another HWPT of the same IOAS, and back.</summary>
    public required Load ReplaceHwpt { get; init; }

    /// <summary>Moving a device to another IOAS, and back: each move allocates one HWPT and destroys one.</summary>
    public required Load ReplaceIoas { get; init; }

    public static async Task<DeviceSet> OpenAsync(BenchRun run, int areas)
    {
        var filled = await FilledContext.OpenAsync(run);
        await filled.AllocateAsync(4);
        foreach (var ioas in (ObjectId[])[Attached, WithHwpts, Left, Right])
        {
            await filled.MapAsync(ioas, FirstIova, areas);
        }

        var driver = await run.Client.GetDriverAsync(filled.Context.Handle, "bench");
        var guest = await BindAsync(driver, "guest");
        var one = await filled.Context.AllocateHwptAsync(guest.Id, WithHwpts);
        var other = await filled.Context.AllocateHwptAsync(guest.Id, WithHwpts);
        return new DeviceSet(filled, driver, areas)
        {
            AttachIoas = AttachDetach(Among(AttachIoasName, areas), await BindAsync(driver, "owner"), Attached),
            AttachHwpt = AttachDetach(Among(AttachHwptName, areas), guest, one),
            ReplaceHwpt = await ReplaceAsync(Among(ReplaceHwptName, areas), await BindAsync(driver, "neighbour"), one, other),
            ReplaceIoas = await ReplaceAsync(Among(ReplaceIoasName, areas), await BindAsync(driver, "mover"), Left, Right),
        };
    }

    /// <summary>A row's name, with the number of areas.</summary>
    public static string Among(string name, int areas) => string.Create(CultureInfo.InvariantCulture, $"{name}, among {areas:#,0} areas");

    public async ValueTask DisposeAsync()
    {
        await _driver.DisposeAsync();
        await _filled.Context.DisposeAsync();
    }

    private static Task<IommuDevice> BindAsync(IommuDriver driver, string name) => driver.BindDeviceAsync(new DeviceDescription { Name = name });

    private static Load<ObjectId> AttachDetach(string name, IommuDevice device, ObjectId pageTable)
    {
        return Pair(name, AttachDetachAsync);

        async ValueTask<ObjectId> AttachDetachAsync()
        {
            var hwpt = await device.AttachAsync(pageTable);
            await device.DetachAsync();
            return hwpt;
        }
    }

    private static async Task<Load> ReplaceAsync(string name, IommuDevice device, ObjectId pageTable, ObjectId other)
    {
        await device.AttachAsync(pageTable);
        return Pair(name, ReplaceTwiceAsync);

        async ValueTask<ObjectId> ReplaceTwiceAsync()
        {
            await device.ReplaceAsync(other);
            return await device.ReplaceAsync(pageTable);
        }
    }

    // The SDK throws for failures.
    private static Load<ObjectId> Pair(string name, Func<ValueTask<ObjectId>> pair)
        => new(name, callers: 1, operations: 2, _ => pair(), hwpt => hwpt != default);
}
