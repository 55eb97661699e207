namespace IommuFd.GrainInterfaces;

/// <summary>The kind of a reference to a context.</summary>
public enum ReferenceKind
{
    /// <summary>A file: the opener's or a duplicate. Ioctls are answered while there is at least one.</summary>
    File = 0,

    /// <summary>A driver (<c>iommufd_ctx_get</c>): it keeps the context from being released, but does not make it answer ioctls.</summary>
    Driver,
}
