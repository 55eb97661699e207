using IommuFd.Bench.Harness;
using IommuFd.Client;
using IommuFd.Devices.DmaTest;
using IommuFd.Devices.Pci;
using IommuFd.Devices.Vfio;
using IommuFd.GrainInterfaces;
using IommuFd.Silo;
using IommuFd.Silo.Gateway;
using IommuFd.Uapi;

namespace IommuFd.Bench.Sections;

// The way of programs: C, the bridge, the gateway in this process, the device beside it, and interrupts by eventfds. And the way of the SDK: the device, its driver and the
// context are in this process. The IOMMU in front of a device is the context's grain, so each access costs a call of it.

/// <summary>What emulated devices do in a time: DMA against memcpy, commands of an NVMe controller and interrupts against a bare exchange over a socket.</summary>
internal static class DevicesSection
{
    private const string Section = "devices";
    private const ulong Iova = 0x1000_0000;
    private const int PageBytes = 4096;

    public static async Task RunAsync(BenchRun run)
    {
        if (run.Options.Filter is { } filter && !Section.StartsWith(filter, StringComparison.OrdinalIgnoreCase))
        {
            return;
        }

        await OfProgramsAsync(run);
        await OfSdkAsync(run);
    }

    private static async Task OfProgramsAsync(BenchRun run)
    {
        var folder = Directory.CreateTempSubdirectory("iommufd-bench-");
        var (path, bare) = (Path.Combine(folder.FullName, "socket"), Path.Combine(folder.FullName, "bare"));
        var gateway = new GatewaySettings { Path = path };
        gateway.Devices.AddRange(["dma-test,bdf=0000:01:00.0", "nvme,bdf=0000:02:00.0"]);
        var silo = await SiloHost.StartInProcessAsync(gateway: gateway);
        using var server = ProgramLoad.Start("bench-echo", [], bare);
        try
        {
            await server.StandardOutput.ReadLineAsync();
            var bridged = new Dictionary<string, string> { ["LD_PRELOAD"] = Path.Combine(ProgramLoad.Folder, "libiommufd-bridge.so"), ["IOMMUFD_SOCKET"] = path };
            foreach (var (size, bytes) in new[] { ("4 KiB", "4096"), ("1 MiB", "1048576") })
            {
                await ProgramLoad.CompareAsync(run, Section, ProgramLoad.OfDevice($"memcpy of {size}", [], "memcpy", bytes), ProgramLoad.OfDevice($"dma-test copies {size}", bridged, "copy", bytes));
            }

            foreach (var (what, doorbell) in new[] { ("pwrite", "by pwrite"), ("store", "mapped") })
            {
                await ProgramLoad.CompareAsync(run, Section, Exchange("1"), ProgramLoad.OfDevice($"doorbell {doorbell} to interrupt", bridged, "tell", what));
            }

            foreach (var depth in new[] { "1", "32" })
            {
                await ProgramLoad.CompareAsync(run, Section, Exchange(depth), ProgramLoad.OfDevice($"nvme reads 4 KiB, {depth} at once", bridged, "read", depth));
            }
        }
        finally
        {
            server.Kill();
            await silo.StopAsync();
            silo.Dispose();
            folder.Delete(recursive: true);
        }

        ProgramLoad Exchange(string window) => new(window == "1" ? "bare exchange" : $"{window} bare exchanges at once", [], "bare", bare, "destroy", window);
    }

    private static async Task OfSdkAsync(BenchRun run)
    {
        await using var hops = await ContextSet.OpenAsync(run, contexts: 1, callers: 1);
        var context = hops.First;
        using var function = new DmaTestFunction();
        var program = new VfioProgram(run.Client);
        var description = new DeviceDescription { Name = "", Iommu = DeviceDescription.PciIommu };
        await using var device = await VfioUserDevice.OpenAsync(new VfioMachine().Add(new PciAddress(0, 1, 0, 0), function, description), program, program.Add(context));
        using var interrupt = new Ended();
        await device.EnableAsync();
        await device.SetInterruptsAsync(VfioPciIrq.Msix, interrupt);
        await device.Write32Async(VfioPciRegion.Bar0, DmaTestRegister.Vector, 0);
        var ioas = await context.AllocateIoasAsync();
        await device.AttachAsync(ioas);
        foreach (var (size, bytes) in new[] { ("4 KiB", PageBytes), ("1 MiB", 1 << 20) })
        {
            var (source, destination) = (DmaMemory.Allocate(bytes), DmaMemory.Allocate(bytes));
            await context.MapAsync(ioas, source, new Iova(Iova));
            await context.MapAsync(ioas, destination, new Iova(2 * Iova));
            await device.Write64Async(VfioPciRegion.Bar0, DmaTestRegister.Source, Iova);
            await device.Write64Async(VfioPciRegion.Bar0, DmaTestRegister.Destination, 2 * Iova);
            await device.Write32Async(VfioPciRegion.Bar0, DmaTestRegister.Length, (uint)bytes);
            await run.CompareAsync(
                Section,
                new Load<bool>($"memcpy of {size}, SDK", 1, 1, _ => Copied(source, destination), static copied => copied),
                (Told($"dma-test copies {size}, SDK", DmaTestCommand.Copy), null));
            if (bytes == PageBytes)
            {
                // A copy is two accesses, each of which the context and the IOAS translate.
                await run.CompareAsync(Section, hops.TwoHops(48), (Told($"accesses of dma-test, {size}, SDK", DmaTestCommand.Copy, 2), null));
            }

            await context.UnmapAsync(ioas, IovaRange.All);
        }

        await run.CompareAsync(Section, new Load<bool>("a task that another one ends", 1, 1, async _ => await Task.Run(static () => true), static ended => ended), (Told("doorbell to interrupt, SDK", DmaTestCommand.Interrupt), null));

        Load<bool> Told(string name, DmaTestCommand command, int operations = 1) => new(name, 1, operations, async _ =>
        {
            await device.Write32Async(VfioPciRegion.Bar0, DmaTestRegister.Command, (uint)command);
            await interrupt.WaitAsync();
            return true;
        }, static told => told);
    }

    private static ValueTask<bool> Copied(ReadOnlyMemory<byte> source, Memory<byte> destination)
    {
        source.CopyTo(destination);
        return ValueTask.FromResult(true);
    }

    /// <summary>An interrupt that a driver waits for.</summary>
    private sealed class Ended : IInterrupt, IDisposable
    {
        private readonly SemaphoreSlim _ends = new(0);

        public void Signal() => _ends.Release();

        public Task WaitAsync() => _ends.WaitAsync();

        public void Dispose() => _ends.Dispose();
    }
}
