using IommuFd.GrainInterfaces;
using IommuFd.Grains.Telemetry;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Monitoring;

/// <summary>What a silo keeps of the DMA that was refused.</summary>
public sealed class DmaFaultLogTests
{
    private readonly DmaFaultLog _log = new();

    [Fact]
    public void Faults_have_numbers_in_the_silo_and_in_their_context()
    {
        Add(1, 2, 1);
        Expect.Sequence(["1 1/1", "2 2/1", "1 3/2"], Show(_log.Read(null, 0).Faults), "all, by context, number and ordinal");
        Expect.Sequence(["1 1/1", "1 3/2"], Show(_log.Read(new ContextTag(1), 0).Faults), "those of a context");
        Expect.Sequence(["1 3/2"], Show(_log.Read(null, 2).Faults), "those after the second");
        Expect.Sequence([], Show(_log.Read(new ContextTag(2), 2).Faults), "those of the other after the second");
        Expect.Equal((3L, 3L), (_log.Read(new ContextTag(7), 0).Last, _log.Last), "the last");
    }

    [Fact]
    public void A_device_gone_wild_pushes_out_no_faults_of_other_contexts()
    {
        Add(1);
        for (var i = 0; i < 10_000; i++)
        {
            Add(2);
        }

        Expect.Sequence(["1 1/1"], Show(_log.Read(new ContextTag(1), 0).Faults), "the fault of the first context");
        var wild = _log.Read(new ContextTag(2), 0).Faults;
        Expect.Equal((DmaFaultLog.MaxOfContext, 10_001L - DmaFaultLog.MaxOfContext, 10_000L), (wild.Length, wild[0].Ordinal, wild[^1].Ordinal), "how many of the other are kept, and which");
    }

    [Fact]
    public void The_context_whose_last_fault_is_the_oldest_goes_first()
    {
        for (var context = 1; context <= DmaFaultLog.MaxContexts; context++)
        {
            Add(context);
        }

        Add(1, 1000);
        Expect.Equal((2, 0, 1), (Of(1), Of(2), Of(1000)), "kept of the context that had another, of the oldest, of the new one");
        Expect.Equal(DmaFaultLog.MaxContexts + 1, _log.Read(null, 0).Faults.Length, "all that are kept");
    }

    [Fact]
    public void Words_say_what_was_accessed_why_it_was_refused_and_what_to_do()
    {
        var fault = Fault(1) with
        {
            Range = new DmaRange(0x10000, 4096),
            Fault = new DmaFault(Errno.ENOENT, 0x10800, true, 5),
            Diagnostic = new IoctlDiagnostic { Reason = DiagnosticReason.IovaNotMapped, ObjectId = new(3), ObjectType = ObjectType.Ioas, Value = 0x10800, Overlap = new(0x10000, 0x107FF) },
        };
        Expect.Equal(
            "0000:01:00.0 (device 4) write 0x10000+4096 with PASID 5: ENOENT, refused: 0x10800 is not mapped in IOAS 3, the nearest area is [0x10000, 0x107FF]", DmaFaultText.Describe(fault), "a fault");
        Expect.Equal("EPERM, waits for a response in fault queue 9", DmaFaultText.Outcome(fault with { FaultQueue = new(9), Fault = new(Errno.EPERM, 0x10000, false, 0) }), "one that waits");

        // One advice for each errno that an access can have, for the two places where it can stop, and for a page fault.
        RecordedDmaFault[] faults =
        [
            fault, fault with { Fault = fault.Fault with { Iova = 0x10000 } }, fault with { Fault = fault.Fault with { Iova = 0x10000 }, Diagnostic = null }, fault with { FaultQueue = new(9) },
            .. new[] { Errno.EPERM, Errno.EINVAL, Errno.EOVERFLOW, Errno.EOPNOTSUPP, Errno.EFAULT }.Select(errno => fault with { Fault = fault.Fault with { Errno = errno } }),
        ];
        Expect.Equal(faults.Length, faults.Select(DmaFaultText.Advice).Where(advice => advice.Length > 20).Distinct().Count(), "different advices");
        Expect.That(DmaFaultText.Advice(fault).Contains("runs past its end", StringComparison.Ordinal), "the advice for an access that begins where memory is mapped");
    }

    private void Add(params int[] contexts) => Array.ForEach(contexts, context => _log.Add(Fault(context)));

    private int Of(int context) => _log.Read(new ContextTag((ulong)context), 0).Faults.Length;

    private static IEnumerable<string> Show(RecordedDmaFault[] faults) => faults.Select(fault => $"{fault.Context.Value} {fault.Number}/{fault.Ordinal}");

    private static RecordedDmaFault Fault(int context)
        => new() { Context = new ContextTag((ulong)context), Opener = "program", Device = new(4), DeviceName = "0000:01:00.0", Fault = new DmaFault(Errno.ENOENT, 0, true, 0) };
}
