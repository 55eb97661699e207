using IommuFd.GrainInterfaces;
using IommuFd.Uapi;

namespace IommuFd.Grains.Model;

// A context's references: by number, by session, and in the order of age. That order is a list threaded through the references, which a reader outside the
// context's turns can walk at any time: a reference that is taken out still leads to the younger ones.
//
// Always: the list has exactly the references, and so has the table of numbers; a session has one of them at most.

internal sealed partial class ContextModel
{
    private readonly Dictionary<long, ContextReference> _sessions = [];
    private ContextReference? _youngest;

    /// <summary>The oldest reference; <see cref="ContextReference.Next"/> leads to the others. Unlike <see cref="References"/> they can be walked at any time, from anywhere.</summary>
    public ContextReference? OldestReference { get; private set; }

    /// <summary>A driver's reference, or null.</summary>
    public ContextReference? FindDriver(ReferenceId id)
        => _references.TryGetValue(id.Value, out var reference) && reference.Kind == ReferenceKind.Driver ? reference : null;

    /// <summary>Any reference, or null.</summary>
    public ContextReference? Find(ReferenceId id) => _references.GetValueOrDefault(id.Value);

    /// <summary>The reference of a session, or null.</summary>
    public ContextReference? FindSession(long session) => session == 0 ? null : _sessions.GetValueOrDefault(session);

    private ReferenceReply Refer(ReferenceKind kind, string name, long session)
    {
        var reference = new ContextReference(new ReferenceId(++_lastNumber), kind, name, session);
        Add(reference);
        return new ReferenceReply(Errno.None, reference.Id, default, Mode, null);
    }

    private void Add(ContextReference reference)
    {
        _references.Add(reference.Id.Value, reference);
        Link(reference);
        if (reference.Session != 0)
        {
            _sessions.Add(reference.Session, reference);
        }

        if (reference.Kind == ReferenceKind.File)
        {
            _files++;
        }
    }

    private void Link(ContextReference reference)
    {
        reference.Previous = _youngest;
        if (_youngest is null)
        {
            OldestReference = reference;
        }
        else
        {
            _youngest.Next = reference;
        }

        _youngest = reference;
    }

    private void Unlink(ContextReference reference)
    {
        if (reference.Previous is { } older)
        {
            older.Next = reference.Next;
        }
        else
        {
            OldestReference = reference.Next;
        }

        if (reference.Next is { } younger)
        {
            younger.Previous = reference.Previous;
        }
        else
        {
            _youngest = reference.Previous;
        }
    }
}
