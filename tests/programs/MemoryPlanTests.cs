using IommuFd.Cli;
using IommuFd.Cli.Conformance;
using IommuFd.Cli.Recording;
using Xunit;

namespace IommuFd.ProgramTests;

/// <summary>Where a recorded program's memory lies in its trace.</summary>
public sealed class MemoryPlanTests
{
    private const ulong Page = 4096;

    [Fact]
    public void What_overlaps_in_the_program_overlaps_in_the_trace()
    {
        var (first, second) = (Writable("program 1", 0x7F00_0000_3800, 2 * Page), Writable("program 1", 0x7F00_0000_4000, 4 * Page));
        var plan = Placed(first, second);

        Assert.Equal(second.Start - first.Start, plan.AddressOf(second) - plan.AddressOf(first));
        Assert.InRange(plan.AddressOf(first), TraceMemory.DataAddress, TraceMemory.DataAddress + TraceMemory.DataBytes - 1);
    }

    [Fact]
    public void The_same_address_in_two_programs_is_two_places()
    {
        var (one, other) = (Writable("program 1", 0x7F00_0000_0000, 4 * Page), Writable("program 2", 0x7F00_0000_0000, 4 * Page));
        var plan = Placed(one, other);

        Assert.True(plan.AddressOf(one) + (4 * Page) <= plan.AddressOf(other) || plan.AddressOf(other) + (4 * Page) <= plan.AddressOf(one), "Two programs' memory overlaps in the trace.");
    }

    [Theory]
    [InlineData(0x7F00_0000_0000, 0x10_0000)]
    [InlineData(0x7F00_0010_3000, 0x1_0000)]
    [InlineData(0x7F00_0030_0000, 0x2_5000)]
    public void An_address_keeps_its_alignment_up_to_the_size_of_what_is_mapped(ulong start, ulong length)
    {
        var memory = Writable("program 1", start, length);
        var plan = Placed(Writable("program 1", 0x1000, Page), memory);

        Assert.Equal(0u, (plan.AddressOf(memory) ^ start) & (System.Numerics.BitOperations.RoundUpToPowerOf2(length) - 1));
    }

    [Fact]
    public void What_ends_before_the_bytes_that_are_named_ends_with_the_region()
    {
        var memory = new NamedMemory(NamedMemoryKind.Writable, "program 1", 0x7F00_0000_0800, (2 * Page) - 0x800, 8 * Page);
        var plan = Placed(Writable("program 1", 0x1000, 16 * Page), memory);

        Assert.Equal(TraceMemory.DataAddress + TraceMemory.DataBytes, plan.AddressOf(memory) + memory.Bytes);
    }

    [Fact]
    public void Memory_that_can_only_be_read_lies_where_a_trace_has_such()
    {
        var memory = new NamedMemory(NamedMemoryKind.ReadOnly, "program 1", 0x40_0000, Page, Page);

        Assert.InRange(Placed(memory).AddressOf(memory), TraceMemory.RodataAddress, TraceMemory.RodataAddress + TraceMemory.RodataBytes - Page);
    }

    [Fact]
    public void More_memory_than_a_trace_has_is_refused()
    {
        var failure = Assert.Throws<CliException>(() => Placed(Writable("program 1", 0x7F00_0000_0000, TraceMemory.DataBytes), Writable("program 2", 0x7F00_0000_0000, Page)));

        Assert.Equal("The program maps 4100 KiB of memory that can be written; a trace has 4096 KiB.", failure.Message);
    }

    private static NamedMemory Writable(string space, ulong start, ulong length) => new(NamedMemoryKind.Writable, space, start, length, length);

    private static MemoryPlan Placed(params NamedMemory[] memories)
    {
        var plan = new MemoryPlan();
        Array.ForEach(memories, plan.Add);
        plan.Place();
        return plan;
    }
}
