using System.Runtime.InteropServices;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Cli.Running;

// The objects of a context follow from the calls that have made and destroyed them. Records come in the order in which calls have ended, which can differ from that in which the
// service did them where threads race: a destroy that comes before its object is remembered.
//
// What ends with another object is tied to it: a device of the selftest to its owner, a vDevice to its device. The HWPTs that attaching makes are not listed: they go with
// their devices. Nor are accesses of the selftest, which are files.

/// <summary>An object that a program has made.</summary>
/// <param name="Object">Its kind and id.</param>
/// <param name="Command">The ioctl that made it.</param>
/// <param name="Caller">Where the program called it.</param>
/// <param name="Owner">The object with which it ends; 0 for none.</param>
internal sealed record MadeObject(ObjectRef Object, string Command, CodePlace Caller, uint Owner);

/// <summary>A context that ended with objects in it.</summary>
/// <param name="Process">The process that opened it, or that used it first.</param>
/// <param name="Descriptor">Its number there.</param>
/// <param name="Caller">Where the program opened it, or used it first.</param>
/// <param name="Closer">Where its last copy was closed; null for one that the program's end has closed.</param>
/// <param name="Objects">What was left, by id.</param>
internal sealed record LeakyContext(int Process, int Descriptor, CodePlace Caller, CodePlace? Closer, IReadOnlyList<MadeObject> Objects);

/// <summary>Follows which objects a program's contexts have.</summary>
internal sealed class LeakTracker
{
    private readonly Dictionary<ulong, Context> _contexts = [];
    private readonly List<LeakyContext> _closed = [];

    /// <summary>The contexts that ended with objects in them, as if all that are open ended now.</summary>
    public IReadOnlyList<LeakyContext> Ended => [.. _closed, .. _contexts.Values.Where(context => context.Objects.Count > 0).Select(context => context.End(null))];

    /// <summary>Takes a call into account.</summary>
    public void Add(TraceRecord record)
    {
        if (record.Errno != Errno.None)
        {
            return;
        }

        if (record.Kind == TraceKind.Close)
        {
            if (record.Result != 0 && _contexts.Remove(record.Cookie, out var ended) && ended.Objects.Count > 0)
            {
                _closed.Add(ended.End(record.Caller));
            }

            return;
        }

        if (record.Kind is not (TraceKind.Open or TraceKind.Ioctl))
        {
            return;
        }

        if (!_contexts.TryGetValue(record.Cookie, out var context))
        {
            _contexts[record.Cookie] = context = new Context(record);
        }

        if (record.Known is { } command && record.Answer.Length >= command.MinSize)
        {
            context.Add(command, record);
        }
    }

    private sealed class Context(TraceRecord first)
    {
        private static readonly int TestUnion = (int)Marshal.OffsetOf<IommuTestCmd>(nameof(IommuTestCmd.Fields));

        private readonly Dictionary<uint, ulong> _destroyedEarly = [];

        public SortedDictionary<uint, MadeObject> Objects { get; } = [];

        public LeakyContext End(CodePlace? closer) => new(first.Process, first.Descriptor, first.Caller, closer, [.. Objects.Values]);

        public void Add(IoctlDescriptor command, TraceRecord record)
        {
            switch (command.Command)
            {
                case IommuCommand.Destroy:
                    Destroy(Field(command, "id", record.Argument), record);
                    break;
                case IommuCommand.TestCmd:
                    AddTest((IommuTestOp)Field(command, "op", record.Answer), record);
                    break;
                default:
                    if (KindOf(command, record.Answer) is { } kind)
                    {
                        var owner = kind == ObjectType.Vdevice ? Field(command, "dev_id", record.Answer) : 0;
                        Make(kind, Field(command, command.Fields.First(IsOutId).Name, record.Answer), owner, record);
                    }

                    break;
            }
        }

        private static bool IsOutId(UapiField field) => field.Name.StartsWith("out_", StringComparison.Ordinal) && field.Name.EndsWith("_id", StringComparison.Ordinal);

        private static uint Field(IoctlDescriptor command, string name, byte[] argument) => (uint)command.Fields.First(field => field.Name == name).Read(argument);

        private static ObjectType? KindOf(IoctlDescriptor command, byte[] argument) => command.Command switch
        {
            IommuCommand.IoasAlloc => ObjectType.Ioas,
            IommuCommand.HwptAlloc => Field(command, "data_type", argument) == 0 ? ObjectType.HwptPaging : ObjectType.HwptNested,
            IommuCommand.FaultQueueAlloc => ObjectType.FaultQueue,
            IommuCommand.ViommuAlloc => ObjectType.Viommu,
            IommuCommand.VdeviceAlloc => ObjectType.Vdevice,
            IommuCommand.VeventqAlloc => ObjectType.Veventq,
            IommuCommand.HwQueueAlloc => ObjectType.HwQueue,
            _ => null,
        };

        private void AddTest(IommuTestOp op, TraceRecord record)
        {
            if (op is IommuTestOp.MockDomain or IommuTestOp.MockDomainFlags)
            {
                var made = MemoryMarshal.Read<IommuTestMockDomain>(record.Answer.AsSpan(TestUnion));
                Make(ObjectType.Selftest, made.OutStdevId, 0, record);
                Make(ObjectType.Device, made.OutIdevId, made.OutStdevId, record);
            }
        }

        private void Make(ObjectType kind, uint id, uint owner, TraceRecord record)
        {
            if (!_destroyedEarly.Remove(id, out var destroyed) || destroyed < record.StartNanoseconds)
            {
                Objects[id] = new MadeObject(new ObjectRef(kind, new ObjectId(id)), IoctlText.Name(record.Command), record.Caller, owner);
            }
        }

        private void Destroy(uint id, TraceRecord record)
        {
            if (!Objects.Remove(id))
            {
                _destroyedEarly[id] = record.StartNanoseconds + record.Nanoseconds;
            }

            foreach (var owned in Objects.Where(item => item.Value.Owner == id).Select(item => item.Key).ToList())
            {
                Destroy(owned, record);
            }
        }
    }
}
