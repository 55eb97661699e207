using System.Reflection;
using IommuFd.GrainInterfaces;

namespace IommuFd.Grains.Model;

/// <summary>Kinds of object by their type.</summary>
internal sealed class ObjectKinds
{
    private readonly Dictionary<ObjectType, ObjectKind> _kinds;

    public ObjectKinds(IEnumerable<ObjectKind> kinds) => _kinds = kinds.ToDictionary(kind => kind.Type);

    /// <summary>All kinds of this assembly: each concrete class that derives from <see cref="ObjectKind"/>, by its static field Instance.</summary>
    public static ObjectKinds All { get; } = new(typeof(ObjectKinds).Assembly.GetTypes()
        .Where(type => type is { IsAbstract: false } && type.IsSubclassOf(typeof(ObjectKind)))
        .Select(type => (ObjectKind)(type.GetField("Instance", BindingFlags.Public | BindingFlags.Static)?.GetValue(null)
            ?? throw new InvalidOperationException($"{type} has no public static field Instance."))));

    public IReadOnlyCollection<ObjectKind> Kinds => _kinds.Values;

    /// <summary>The kind of a type; null where there is none.</summary>
    public ObjectKind? Find(ObjectType type) => _kinds.GetValueOrDefault(type);
}
