using IommuFd.Client;
using IommuFd.Linearizability;
using IommuFd.UnitTests.Support;
using Ioctl = IommuFd.Linearizability.Ioctl;

namespace IommuFd.UnitTests.Linearizability;

/// <summary>A context of the service without a silo, and beside it the specification, which must answer the same, bytes and all.</summary>
internal sealed class SpecifiedContext
{
    /// <summary>The address of memory to map.</summary>
    public const ulong Memory = EndlessMemory.Start;

    private readonly OpenContext _context = new();
    private readonly ContextSpecification _specification = new();

    /// <summary>What the specification says that the context is.</summary>
    public ContextState State { get; private set; } = ContextState.Empty;

    /// <summary>Runs an ioctl on both.</summary>
    /// <param name="ioctl">The ioctl.</param>
    /// <param name="where">What a failure says before the ioctl.</param>
    public IoctlAnswer Run(Ioctl ioctl, string where)
    {
        var (next, expected) = _specification.Apply(State, ioctl);
        Expect.That(!_specification.ChangesNothing(ioctl, expected) || next.Equals(State), $"{where}: {LinearizabilityReport.Ask(ioctl)} can change nothing, and does.");
        var reply = _context.Run(IoctlMarshaller.CopyIn(ioctl.Command, ArgumentMemory.Address, new ArgumentMemory(ioctl.Argument, EndlessMemory.Instance)));
        var actual = new IoctlAnswer(reply.Errno, reply.Argument ?? []);
        if (actual != expected)
        {
            Assert.Fail($"""
                {where}: {LinearizabilityReport.Ask(ioctl)}
                service:       {LinearizabilityReport.Answer(ioctl, actual)} ({reply.Diagnostic})
                specification: {LinearizabilityReport.Answer(ioctl, expected)}
                in {State}
                """);
        }

        State = next;
        return actual;
    }

    /// <summary>Memory that is all there, as the specification takes it to be, with nothing in it but the structs that ioctls point to.</summary>
    private sealed class EndlessMemory : ICallerMemory
    {
        public const ulong Start = 0x7000_0000;

        public static readonly EndlessMemory Instance = new();

        private static readonly byte[] Structs = CallerStructs.ToArray();

        public int Read(ulong address, Span<byte> destination)
        {
            destination.Clear();
            if (address >= CallerStructs.Address && address - CallerStructs.Address < (ulong)Structs.Length)
            {
                var rest = Structs.AsSpan((int)(address - CallerStructs.Address));
                rest[..Math.Min(rest.Length, destination.Length)].CopyTo(destination);
            }

            return destination.Length;
        }

        public int Write(ulong address, ReadOnlySpan<byte> source) => source.Length;

        public ulong Accessible(ulong address, ulong length, MemoryAccess access) => length;
    }
}
