using System.Globalization;
using System.Runtime.CompilerServices;
using IommuFd.Bench.Harness;
using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Bench.Sections;

// All through the SDK. A nested HWPT is a grain of its own, so that each one that is allocated is an activation, and its DESTROY ends the activation.
// A fault goes to the context and from there to its queue's grain, and so do the read and the response: two hops each.

/// <summary>What a virtual machine monitor does for a guest while it runs: page tables that come and go, invalidations and page faults, against two hops each.</summary>
internal static class GuestSection
{
    private const string Section = "guest";
    private const int Bytes = 48;

    private static readonly int[] Entries = [1, 64, 4_096];
    private static readonly int FaultBytes = Unsafe.SizeOf<IommuHwptPgfault>();

    public static async Task RunAsync(BenchRun run)
    {
        await using var hops = await ContextSet.OpenAsync(run, contexts: 1, callers: 1);
        await using var driver = await run.Client.GetDriverAsync(hops.First.Handle, "bench");
        await using var device = await driver.BindDeviceAsync(new DeviceDescription { Name = "guest" });
        await using var faulting = await driver.BindDeviceAsync(new DeviceDescription { Name = "faulting" });
        await using var queue = await hops.First.AllocateFaultQueueAsync();
        var context = hops.First;
        var ioas = await context.AllocateIoasAsync();
        var parent = await context.AllocateHwptAsync(device.Id, ioas, IommuHwptAllocFlags.NestParent);
        var nested = await NestAsync(context, device, parent);
        await faulting.AttachAsync(await context.AllocateHwptAsync(faulting.Id, ioas, IommuHwptAllocFlags.FaultIdValid, queue.Id));
        await run.CompareAsync(
            Section,
            hops.TwoHops(Bytes),
            [
                (hops.Load("HWPT_ALLOC nested and DESTROY, SDK", 2, _ => AllocateAndDestroyAsync(context, device, parent), hwpt => hwpt != default), null),
                .. Entries.Select(entries => ((Load, Target?))(Invalidation(hops, nested, entries), null)),
                (hops.Load("page fault: trigger, read, respond, SDK", 3, _ => FaultAsync(context, faulting.Id, queue.File), count => count == Unsafe.SizeOf<IommuHwptPageResponse>()), null),
            ]);
    }

    private static ValueTask<ObjectId> NestAsync(IommuContext context, IommuDevice device, ObjectId parent)
        => context.AllocateNestedHwptAsync(device.Id, parent, IommuHwptDataType.Selftest, default(IommuHwptSelftest));

    private static async ValueTask<ObjectId> AllocateAndDestroyAsync(IommuContext context, IommuDevice device, ObjectId parent)
    {
        var hwpt = await NestAsync(context, device, parent);
        await context.DestroyAsync(hwpt);
        return hwpt;
    }

    private static Load Invalidation(ContextSet hops, ObjectId nested, int count)
    {
        var entries = Enumerable.Range(0, count).Select(i => new IommuHwptInvalidateSelftest { IotlbId = (uint)i % 4 }).ToArray();
        return hops.Load(
            string.Create(CultureInfo.InvariantCulture, $"HWPT_INVALIDATE of {count:#,0} entries, SDK"),
            1,
            target => target.Context.InvalidateAsync<IommuHwptInvalidateSelftest>(nested, IommuHwptInvalidateDataType.Selftest, entries),
            result => result.Handled == count);
    }

    private static async ValueTask<int> FaultAsync(IommuContext context, ObjectId device, IommuFile file)
    {
        var trigger = new IommuTestTriggerIopf { DevId = device.Value, Perm = (uint)IommuPgfaultPerm.Read, Addr = 0x100_0000 };
        (await context.IoctlAsync(IommuCommand.TestCmd, new IommuTestCmd { Op = (uint)IommuTestOp.TriggerIopf, Fields = IommuTestCmdUnion.Of(in trigger) })).ThrowIfFailed();
        var record = new byte[FaultBytes];
        (await file.ReadAsync(record)).ThrowIfFailed();
        var response = new IommuHwptPageResponse { Cookie = UapiStruct.Read<IommuHwptPgfault>(record).Cookie };
        return (await file.WriteAsync((ReadOnlyMemory<byte>)UapiStruct.ToBytes(in response))).ThrowIfFailed().Count;
    }
}
